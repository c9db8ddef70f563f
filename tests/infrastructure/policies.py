"""Every statement of every policy in a template, in one shape."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.infrastructure.conftest import Template

IDENTITIES = (
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::RolePolicy",
    "AWS::IAM::UserPolicy",
    "AWS::IAM::GroupPolicy",
    "AWS::IAM::Role",
    "AWS::IAM::User",
    "AWS::IAM::Group",
)
"""Types whose policies say what an identity may do; every other policy says who may do something to a resource."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement; lists where IAM takes a single value too, references written as ``<name>``."""

    stack: str
    logical_id: str
    type: str
    name: str
    """Sid, or the actions where there is none."""
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: str
    """As JSON."""
    negated: bool
    """Whether it says what is *not* meant (``NotAction`` and the like)."""


def statements(template: Template) -> Iterator[Statement]:
    """Every statement of ``template``, in whichever property it stands."""
    for logical_id, resource in template.document.get("Resources", {}).items():
        for document in _documents(resource.get("Properties", {})):
            for statement in _list(document["Statement"]):
                yield _statement(template.name, logical_id, resource["Type"], statement)


def text(value: object) -> str:
    """A value with references written as ``<name>``: as cdk-nag does, so that both name a resource alike."""
    match value:
        case str():
            return re.sub(r"\$\{([^}]*)\}", r"<\1>", value)
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::GetAtt": [*parts]}:
            return f"<{'.'.join(map(str, parts))}>"
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(map(text, parts))
        case {"Fn::Sub": str(template)}:
            return text(template)
        case _:
            return json.dumps(value, separators=(",", ":"))


def _documents(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, str) and value.startswith("{") and '"Statement"' in value:
        value = json.loads(value)
    if isinstance(value, dict):
        # Rules of a firewall have a statement too, without an effect.
        if all("Effect" in statement for statement in _list(value.get("Statement")) or [{}]):
            yield value
        for inner in value.values():
            yield from _documents(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _documents(inner)


def _statement(stack: str, logical_id: str, kind: str, statement: dict[str, Any]) -> Statement:
    actions = tuple(sorted(map(text, _list(statement.get("Action")))))
    principal = statement.get("Principal", {})
    named = principal.values() if isinstance(principal, dict) else [principal]
    return Statement(
        stack=stack,
        logical_id=logical_id,
        type=kind,
        name=statement.get("Sid") or ",".join(actions),
        allows=statement["Effect"] == "Allow",
        actions=actions,
        resources=tuple(map(text, _list(statement.get("Resource")))),
        principals=tuple(text(one) for value in named for one in _list(value)),
        conditions=json.dumps(statement.get("Condition", {}), sort_keys=True),
        negated=any(key.startswith("Not") for key in statement),
    )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
