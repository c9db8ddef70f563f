"""Of the registry's table functions write, and who talks to strangers reads, the partitions that their work needs."""

import json

from tests.infrastructure.conftest import Assembly
from tests.infrastructure.policies import statements

READS = {"BatchGetItem", "GetItem", "Query"}
WHOLE = {
    "ModelRegistryServiceTaskRole": READS | {"BatchWriteItem", "ConditionCheckItem", "DeleteItem", "PutItem"},
    "ModelValidationFunctionRole": READS | {"ConditionCheckItem"},  # it queries where a model has to be healed first
    "WebhookSignerFunctionRole": READS | {"Scan"},
}
"""Actions on all partitions, by identity."""
HELD = {
    "ModelValidationFunctionRole": {"PutItem": {"*#models", "*#model#*", "*#versions", "*#audit#*"}},
    "WebhookSignerFunctionRole": {"PutItem": {"*#webhooks", "*#audit#*", "*#chains", "#data-keys"}},
    "WebhooksFunctionRole": {"GetItem": {"*#webhooks"}},
}
"""Patterns of partitions by action, by identity."""


def test_what_reads_files_or_talks_to_strangers_is_held_to_partitions(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        whole, held = dict[str, set[str]](), dict[str, dict[str, set[str]]]()
        for statement in statements(stack):
            verbs = {one.removeprefix("dynamodb:") for one in statement.actions if one.startswith("dynamodb:")}
            if not verbs or not any(resource.endswith("-registry") for resource in statement.resources):
                continue
            identity = statement.logical_id.partition("DefaultPolicy")[0]
            condition = json.loads(statement.conditions)
            if not condition:
                whole.setdefault(identity, set()).update(verbs)
                continue
            (verb,) = verbs
            patterns = condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            held.setdefault(identity, {})[verb] = {patterns} if isinstance(patterns, str) else set(patterns)
        assert (whole, held) == (WHOLE, HELD), stack.name
