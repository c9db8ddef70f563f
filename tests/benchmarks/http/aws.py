"""``python -m tests.benchmarks.http.aws PORT``: S3, DynamoDB and SQS on loopback, in a process of their own."""

import sys

from local.environment import isolate

isolate()  # before moto is imported, because that looks for the user's AWS profile

from local.aws import moto_patches  # noqa: E402
from local.aws.server import listen  # noqa: E402


def _no_function(
    _region: str, name: str, _payload: bytes, _headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    raise LookupError(f"there is no function {name}")


if __name__ == "__main__":
    moto_patches.apply(invoke=_no_function, control="")  # without them a transaction copies its whole table
    listen(int(sys.argv[1])).serve_forever()
