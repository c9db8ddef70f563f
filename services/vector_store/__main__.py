"""``python -m services.vector_store``: serve until SIGTERM."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a worker has one core; read when numpy is imported

from anfl import environment
from anfl.http.serve import Listen, serve
from services.vector_store.app import creator, publishing

if __name__ == "__main__":
    serve(creator(), environment.load(Listen), beside=[publishing()])
