"""``python -m services.vector_store``: serve until SIGTERM."""

from anfl import environment
from anfl.http.serve import Listen, serve
from services.vector_store.app import create

if __name__ == "__main__":
    serve(create, environment.load(Listen))
