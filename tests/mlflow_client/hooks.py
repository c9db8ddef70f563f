"""``python -m tests.mlflow_client.hooks``: webhooks with MLflow's client, and signatures by MLflow's code.

``create URL NAME HOOK EVENTS SECRET``: a webhook; prints its id. ``change URL NAME``: a model, and of it a version with
a tag and an alias. ``signatures SECRET``: of the JSON list [[delivery, timestamp, body], …] that is its input, as such
a list. The token is that of ``MLFLOW_TRACKING_TOKEN``.
"""

import json
import sys

from mlflow import MlflowClient
from mlflow.webhooks.delivery import _generate_hmac_signature


def main(command: str, *given: str) -> None:
    """Do it."""
    if command == "signatures":
        json.dump([_generate_hmac_signature(given[0], *signed) for signed in json.load(sys.stdin)], sys.stdout)
        return
    client = MlflowClient(tracking_uri=given[0], registry_uri=given[0])
    if command == "create":
        _, name, url, events, secret = given
        sys.stdout.write(client.create_webhook(name, url, events.split(","), secret=secret).webhook_id)
    else:
        client.create_registered_model(given[1], description="made by MLflow's client")
        version = client.create_model_version(given[1], source="s3://elsewhere/model")
        client.set_model_version_tag(given[1], version.version, "quality", "good")
        client.set_registered_model_alias(given[1], "champion", version.version)


if __name__ == "__main__":
    main(*sys.argv[1:])
