"""``python -m tests.benchmarks.http.aws PORT``: S3 and DynamoDB on loopback, in a process of their own."""

import sys

from local.environment import isolate

isolate()  # before moto is imported, because that looks for the user's AWS profile

from local.aws.server import listen  # noqa: E402

if __name__ == "__main__":
    listen(int(sys.argv[1])).serve_forever()
