"""``python -m tests.mlflow_client.hooks``: webhooks with MLflow's client, and signatures by MLflow's code.

``create URL NAME HOOK EVENT SECRET``: a webhook; prints its id. ``change URL NAME``: a model, a version with a tag and an
alias. ``signature SECRET DELIVERY TIMESTAMP BODY``: prints it. The token is that of ``MLFLOW_TRACKING_TOKEN``.
"""

import sys

from mlflow import MlflowClient
from mlflow.webhooks.delivery import _generate_hmac_signature


def main(command: str, *given: str) -> None:
    """Do it."""
    if command == "signature":
        sys.stdout.write(_generate_hmac_signature(*given))
        return
    client = MlflowClient(tracking_uri=given[0], registry_uri=given[0])
    if command == "create":
        _, name, url, events, secret = given
        made = client.create_webhook(name, url, events.split(","), secret=secret)
        sys.stdout.write(made.webhook_id)
    else:
        client.create_registered_model(given[1], description="made by MLflow's client")
        version = client.create_model_version(given[1], source="s3://elsewhere/model")
        client.set_model_version_tag(given[1], version.version, "quality", "good")
        client.set_registered_model_alias(given[1], "champion", version.version)


if __name__ == "__main__":
    main(*sys.argv[1:])
