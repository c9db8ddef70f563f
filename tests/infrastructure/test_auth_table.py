"""Of the auth table each identity reads and writes the partitions that it needs, and no others."""

import json

from tests.infrastructure.conftest import Assembly
from tests.infrastructure.policies import statements

VERIFIES = {"jwks": {"Query"}, "revoked": {"Query"}}
SEALS = {"wrapping-key": {"GetItem"}}
MAY = {
    ("service", "VectorStoreServiceTaskRole"): VERIFIES | SEALS,
    ("service", "ModelRegistryServiceTaskRole"): VERIFIES | SEALS,
    ("service", "VectorProcessingFunctionRole"): SEALS,
    ("service", "WebhookSignerFunctionRole"): SEALS,
    ("service", "AuthorizerFunctionRole"): VERIFIES,
    ("service", "AuthFunctionRole"): {
        "jwks": {"Query"},
        "revoked": {"GetItem", "PutItem", "Query"},
        "revocations": {"Query", "UpdateItem"},
    },
    ("key-agent", "FunctionRole"): {
        "jwks": {"DeleteItem", "PutItem", "Query"},
        "wrapping-key": {"DeleteItem", "PutItem", "Query", "UpdateItem"},
    },
    ("key-leader", "FunctionRole"): {"wrapping-key": {"PutItem", "Query"}},
    ("vault", "BootstrapRole"): {"jwks": {"DeleteItem", "PutItem", "Query"}},
}
"""Actions by partition, by the end of the stack's name and the identity."""
WHOLE = {("recovery", "dynamodb:DescribeTable"), ("recovery", "dynamodb:Scan")}
"""What asks for no items of a partition: whether a restored table answers."""


def partitions(assembly: Assembly, environment: str) -> dict[tuple[str, str], dict[str, set[str]]]:
    """As `MAY` has it."""
    found = dict[tuple[str, str], dict[str, set[str]]]()
    for stack in assembly:
        kind = stack.name.split("-", 2)[2]
        for statement in statements(stack):
            of_data = {action for action in statement.actions if action.startswith("dynamodb:")}
            if not of_data or not any(one.endswith(f"table/anfl-{environment}-auth") for one in statement.resources):
                continue
            if {(kind.rpartition("-")[2], action) for action in of_data} <= WHOLE:
                continue
            condition = json.loads(statement.conditions)
            (partition,) = condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
            identity = statement.logical_id.partition("DefaultPolicy")[0]
            (where,) = (key for key in MAY if kind.endswith(key[0]) and identity == key[1])
            found.setdefault(where, {})[partition] = {action.partition(":")[2] for action in of_data}
    return found


def test_an_identity_has_its_partitions_and_no_others(prod: Assembly, dev: Assembly) -> None:
    assert partitions(prod, "prod") == MAY
    assert partitions(dev, "dev") == {key: may for key, may in MAY.items() if key[0] != "vault"}, "it has no nodes"
