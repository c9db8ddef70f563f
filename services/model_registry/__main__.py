"""``python -m services.model_registry``: serve until SIGTERM."""

from anfl import environment
from anfl.http.serve import Listen, serve
from services.model_registry.app import create

if __name__ == "__main__":
    serve(create, environment.load(Listen))
