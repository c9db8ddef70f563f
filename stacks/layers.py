"""Where constructs stand: paths that begin with the stack's layer."""

from stacks.units import Region

FUNCTIONS = (
    "service/VectorProcessingFunction",
    "service/ModelValidationFunction",
    "service/AuthFunction",
    "service/AuthorizerFunction",
    "service/WebhookSignerFunction",
    "replication/Function",
    "vault/Bootstrap",
    "key-agent/Function",
)
WATCH = "global-watch/Watch"
DIAL = "recovery/Dial"
WEBHOOKS = "service/WebhooksFunction"
COPIER = "replication/Copier"
KEY_LEADER = "global-key-leader/Function"
VAULT_CERTIFICATE = "vault/CertificateFunction"
OUTSIDE = (WATCH, DIAL, WEBHOOKS, COPIER, KEY_LEADER, VAULT_CERTIFICATE)
"""Functions too, outside any network."""
SERVICES = ("service/VectorStoreService", "service/ModelRegistryService")
CLUSTERS = ("service/VectorProcessingCluster", "service/ModelRegistryCluster")


def layer_of(name: str, environment: str) -> str:
    """``service`` of ``anfl-prod-us-west-1-service``, ``replication`` of ``anfl-prod-replication-us-west-1``."""
    for region in Region:
        name = name.replace(f"-{region}", "")
    return name.removeprefix(f"anfl-{environment}-")
