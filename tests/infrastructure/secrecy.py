"""What anybody may read who may look at a stack, an instance or a function: no secret stands there in plain text."""

import re
from collections.abc import Iterator, Mapping

from tests.infrastructure.estate import Estate, Item, Verdict, strings

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|credential|api_?key|private_?key|access_?key|auth_?token|[a-z]_?token$",
    re.IGNORECASE,
)
_ABOUT_SECRETS = re.compile(r"(arn|name|id|issuer|audience|ttl|seconds|validity|description)$", re.IGNORECASE)
"""What names or describes a secret, or a token, is none."""
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bhv[sbr]\.[A-Za-z0-9_-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|://[^/\s:@]+:[^/\s:@]+@"
)
"""Private keys, keys of AWS, tokens of Vault, signed tokens, tokens of GitHub, addresses with a password."""
_RESOLVED = re.compile(r"\{\{resolve:(secretsmanager|ssm-secure):")
"""CloudFormation puts the secret itself in the place of such a reference."""
_ASSIGNED = re.compile(
    r"(?im)^[ \t]*(?:export[ \t]+)?\w*(?:passw(?:or)?d|passphrase|secret|token|api_?key)\w*[ \t]*[=:][ \t]*"
    r"[\"']?(?!\$|@|/|arn:)[A-Za-z0-9+_.~-]{8,}[\"']?[ \t]*$"
)
"""A line of a script or a settings file that gives a secret a literal value."""


def parameters_hold_no_secret(estate: Estate) -> Iterator[Verdict]:
    """Values of parameters are shown to whoever may describe a stack; even hidden ones stand in the shell's history."""
    for place in estate.places.values():
        for name, parameter in place.document.get("Parameters", {}).items():
            secret = _is_secret(name) or parameter.get("NoEcho") or any(map(_shows, strings(parameter)))
            yield Verdict(subject=f"{place.name}: {name}", wrong="is a parameter for a secret" if secret else "")


def environments_hold_no_secret(estate: Estate) -> Iterator[Verdict]:
    """Of functions and of tasks: what a secret is called may stand there, what it is may not."""
    for item in estate.of("AWS::Lambda::Function"):
        variables = item.properties.get("Environment", {}).get("Variables", {})
        yield from (_variable(estate, item, name, value) for name, value in variables.items())
    for item in estate.of("AWS::ECS::TaskDefinition"):
        for container in item.properties["ContainerDefinitions"]:
            for pair in container.get("Environment", []):
                yield _variable(estate, item, pair["Name"], pair["Value"])


def user_data_hold_no_secret(estate: Estate) -> Iterator[Verdict]:
    """Every process of an instance reads them, and whoever may describe its launch template."""
    for item in estate.of("AWS::EC2::LaunchTemplate", "AWS::AutoScaling::LaunchConfiguration", "AWS::EC2::Instance"):
        data = item.properties.get("LaunchTemplateData", item.properties).get("UserData")
        if data is not None:
            shown = any(_shows(piece) or _ASSIGNED.search(piece) for piece in strings(data))
            yield item.verdict(not shown, "has a secret in its user data")


def outputs_hold_no_secret(estate: Estate) -> Iterator[Verdict]:
    """Outputs are shown to whoever may describe a stack, and exports to everybody in the account."""
    for place in estate.places.values():
        for name, output in place.document.get("Outputs", {}).items():
            literal = isinstance(output["Value"], str) and _is_secret(name)
            shown = literal or any(map(_shows, strings(output["Value"]))) or "SecretAccessKey" in strings(output)
            yield Verdict(subject=f"{place.name}: output {name}", wrong="gives a secret away" if shown else "")


def templates_hold_no_secret(estate: Estate) -> Iterator[Verdict]:
    """Whatever the property: a literal under a secret's name, or text in a secret's shape."""
    for place in estate.places.values():
        for name, whole in place.document.get("Resources", {}).items():
            item = Item(place=place, id=name, whole=whole)
            found = [key for key, value in _literals(item.properties) if _is_secret(key) or _SHAPES.search(value)]
            yield item.verdict(not found, f"has a secret in plain text: {', '.join(sorted(found))}")


_REFERENCES = {"Ref", "Fn::GetAtt", "Fn::ImportValue", "Fn::GetStackOutput"}

RULES = (
    parameters_hold_no_secret,
    environments_hold_no_secret,
    user_data_hold_no_secret,
    outputs_hold_no_secret,
    templates_hold_no_secret,
)


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _ABOUT_SECRETS.search(name)


def _shows(text: str) -> bool:
    return bool(_SHAPES.search(text) or _RESOLVED.search(text))


def _variable(estate: Estate, item: Item, name: str, value: object) -> Verdict:
    # By reference a secret's ARN, of which reading it is another right.
    names_one = estate.target(item, value, "AWS::SecretsManager::Secret", "AWS::SSM::Parameter") is not None
    secret = any(map(_shows, strings(value))) or (_is_secret(name) and not names_one)
    return item.verdict(not secret, "holds a secret", name)


def _literals(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Texts with the name of the property that they stand under; references are none."""
    match value:
        case str():
            yield key, value
        case Mapping():
            for name, inner in value.items():
                if name not in _REFERENCES:
                    yield from _literals(inner, key if name.startswith("Fn::") else name)
        case list():
            for inner in value:
                yield from _literals(inner, key)
