"""The real service of the client's tests, for whoever asks for its ``url``."""

from tests.unit.client import conftest as serving

session = serving.session
catalogue = serving.catalogue
s3 = serving.s3
objects = serving.objects
store = serving.store
queue = serving.queue
engine = serving.engine
store_with_a_class = serving.store_with_a_class
function_bytes = serving.function_bytes
place = serving.place
imports = serving.imports
door = serving.door
url = serving._url
