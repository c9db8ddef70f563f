"""``python -m tests.benchmarks.http.bare INDEX DIMENSION ROWS PORT``: the least that can stand around hnswlib.

uvicorn, uvloop, httptools and a handler that decodes, searches and encodes: no token, no route, no log, no filter.
"""

import base64
import sys

import hnswlib
import msgspec
import numpy as np
import uvicorn

EF = 64


class Packed(msgspec.Struct):
    """As the service takes it."""

    f32: str


class Query(msgspec.Struct):
    """As the service takes it."""

    vector: Packed
    k: int


class Match(msgspec.Struct):
    """As the service answers."""

    id: str
    distance: float


class Answer(msgspec.Struct):
    """As the service answers."""

    matches: list[Match]


def main() -> None:
    """Serve until SIGTERM."""
    path, dimension, rows, port = sys.argv[1], *map(int, sys.argv[2:5])
    index = hnswlib.Index(space="cosine", dim=dimension)
    index.load_index(path, max_elements=rows)
    index.set_ef(EF)
    decode, encode = msgspec.json.Decoder(Query).decode, msgspec.json.Encoder().encode

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as bare as it gets
        if scope["type"] != "http":
            return
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        query = decode(body)
        vector = np.frombuffer(base64.b64decode(query.vector.f32), dtype="<f4")
        labels, distances = index.knn_query(vector, k=query.k, num_threads=1)
        pairs = zip(labels[0].tolist(), distances[0].tolist(), strict=True)
        answer = encode(Answer([Match(str(label), distance) for label, distance in pairs]))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main()
