"""The embedded AWS understands every condition that it may have to judge."""

import json
from collections.abc import Iterator

import pytest

from local.iam.conditions import KEYS, OF_SERVICES, OPERATORS
from tests.infrastructure.conftest import Assembly, Template
from tests.infrastructure.policies import Statement, statements

ON_RESOURCES = {"AWS::KMS::Key", "AWS::KMS::ReplicaKey", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"}
"""Types whose policies it asks, and queues'."""
NOT_RUN = {
    "aws:ResourceTag/environment": "of Grafana's role, and of people's",
    "aws:ResourceTag/project": "of Grafana's role, and of people's",
    "ssm:resourceTag/anfl-vault": "of the bootstrap of Vault, which has no nodes here",
}
"""Condition keys in policies of identities that do not run here; there they allow nothing."""


def judged(stack: Template) -> Iterator[Statement]:
    return (s for s in statements(stack) if s.type in {"AWS::IAM::Policy", "AWS::SQS::QueuePolicy", *ON_RESOURCES})


@pytest.fixture(name="conditions")
def _conditions(assembly: Assembly) -> set[tuple[str, str]]:
    """(operator, key) of all statements."""
    return {
        (operator, key)
        for stack in assembly
        for statement in judged(stack)
        for operator, keys in json.loads(statement.conditions).items()
        for key in keys
    }


def test_operators_and_keys_of_conditions_are_known(conditions: set[tuple[str, str]]) -> None:
    assert len(conditions) > 5
    assert {operator for operator, _ in conditions} <= OPERATORS
    assert {key for _, key in conditions if key.lower() not in KEYS | OF_SERVICES} <= NOT_RUN.keys()


def test_no_condition_is_known_that_nobody_uses(prod: Assembly, dev: Assembly) -> None:
    """Less to be wrong about; what every caller tells anyway may stand in any policy."""
    texts = [statement.conditions for assembly in (prod, dev) for stack in assembly for statement in judged(stack)]
    used = " ".join(texts).lower()
    assert {operator for operator in OPERATORS if f'"{operator.lower()}"' not in used} == set()
    assert {key for key in KEYS | OF_SERVICES if f'"{key}"' not in used} <= {
        "aws:principalaccount",
        "aws:resourceaccount",
    }
