"""Policies and the precedence of their rules: exactly one rule decides a request; different paths never add up."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import hcl2

from local.vault.api import Operation, invalid

_CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "patch", "sudo", "deny"})
_LEGACY = {
    "deny": {"deny"},
    "read": {"read", "list"},
    "write": {"create", "read", "update", "delete", "list"},
    "sudo": {"create", "read", "update", "delete", "list", "sudo"},
}
_STANZA = frozenset(
    {
        "capabilities",
        "policy",
        "allowed_parameters",
        "denied_parameters",
        "required_parameters",
        "min_wrapping_ttl",
        "max_wrapping_ttl",
        "comment",
    }
)
_HCL = hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True, explicit_blocks=False)
Parameters = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One ``path`` stanza, or several of one path merged."""

    path: str
    capabilities: frozenset[str]
    allowed: Parameters | None = None
    denied: Parameters | None = None
    required: frozenset[str] = frozenset()

    @property
    def is_exact(self) -> bool:
        """Whether the path has no wildcard."""
        return not self.path.endswith("*") and not self._has_plus

    @property
    def _has_plus(self) -> bool:
        return "+" in self.path.removesuffix("*").split("/")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """``+`` is one segment (it may be empty), a last ``*`` any suffix; ``*`` elsewhere is itself."""
        segments = self.path.removesuffix("*").split("/")
        body = "/".join("[^/]*" if segment == "+" else re.escape(segment) for segment in segments)
        return re.compile(body + (".*" if self.path.endswith("*") else ""), re.DOTALL)

    def matches(self, path: str) -> bool:
        """Whether the wildcard path covers ``path``."""
        return self._pattern.fullmatch(path) is not None

    @property
    def priority(self) -> tuple[int, bool, int, int, str]:
        """Orders wildcard rules that match the same path; the highest decides."""
        first = len(self.path.removesuffix("*"))
        if self._has_plus:
            first = min(first, self.path.index("+"))
        return (
            first,
            not self.path.endswith("*"),
            -self.path.split("/").count("+"),
            len(self.path),
            self.path,
        )

    def merged(self, other: "Rule") -> "Rule":
        """Both stanzas of the same path: capabilities add up unless one denies."""
        capabilities = self.capabilities | other.capabilities
        return Rule(
            path=self.path,
            capabilities=frozenset({"deny"}) if "deny" in capabilities else capabilities,
            allowed=_merge(self.allowed, other.allowed),
            denied=_merge(self.denied, other.denied),
            required=self.required | other.required,
        )

    def accepts(self, data: Mapping[str, Any]) -> bool:
        """Whether the parameters pass ``required_``, ``denied_`` and ``allowed_parameters``.

        As in Vault none named is no limit, and what stands for ``*`` is not looked at: other names may be anything.
        """
        given = [(name.lower(), value) for name, value in data.items()]  # one may stand in several spellings
        if not self.required <= {name for name, _ in given}:
            return False
        if not given:
            return True
        allowed = self.allowed
        for name, value in given:
            if self.denied is not None and ("*" in self.denied or _listed(self.denied, name, value)):
                return False
            if allowed and not _listed(allowed, name, value) and (name in allowed or "*" not in allowed):
                return False
        return True


def _merge(one: Parameters | None, two: Parameters | None) -> Parameters | None:
    if one is None or two is None:
        return one if two is None else two
    merged = dict(one)
    for name, values in two.items():
        merged[name] = () if name in one and not (one[name] and values) else (*one.get(name, ()), *values)
    return merged


def _listed(parameters: Parameters, name: str, value: object) -> bool:
    """A named parameter with an empty list stands for every value."""
    return name in parameters and (not parameters[name] or _any_equal(parameters[name], value))


def _any_equal(patterns: Sequence[Any], value: object) -> bool:
    return any(_equal(pattern, value) for pattern in patterns)


def _equal(pattern: object, value: object) -> bool:
    if not (isinstance(pattern, str) and isinstance(value, str)) or pattern == "*":
        return pattern == value  # an asterisk alone is no wildcard
    core = pattern.removeprefix("*").removesuffix("*")
    starts, ends = not pattern.startswith("*"), not pattern.endswith("*")
    if starts and ends:
        return value == pattern
    return value.startswith(core) if starts else value.endswith(core) if ends else core in value


@lru_cache(maxsize=256)
def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a policy in HCL or JSON; those of one text are worked out once, which takes milliseconds.

    :raises VaultError: 400 for anything that is not a policy.
    """
    try:
        document: dict[str, Any]
        if text.lstrip().startswith("{"):
            document = json.loads(text)
        else:
            document = hcl2.loads(f"{text}\n", serialization_options=_HCL)
    except Exception as error:  # whatever the grammar raises
        raise invalid(f"failed to parse policy: {str(error).splitlines()[0]}") from error
    unknown = document.keys() - {"path", "name"}
    if unknown:
        raise invalid(f"failed to parse policy: invalid key {min(unknown)!r}")
    blocks = document.get("path", [])
    if isinstance(blocks, dict):
        blocks = [blocks]
    try:
        return tuple(_rule(path, stanza) for block in blocks for path, stanza in block.items())
    except (AttributeError, TypeError, ValueError) as error:  # something of another shape than a policy's
        raise invalid(f"failed to parse policy: {error}") from error


def _rule(path: str, stanza: Mapping[str, Any]) -> Rule:
    path = path.removeprefix("/")
    if unknown := stanza.keys() - _STANZA:
        raise invalid(f"failed to parse policy: path {path!r}: invalid key {min(unknown)!r}")
    if "+*" in path:
        raise invalid(f'failed to parse policy: path {path!r}: invalid use of wildcards ("+*" is forbidden)')
    capabilities = set(stanza.get("capabilities", ()))
    if "policy" in stanza:
        if stanza["policy"] not in _LEGACY:
            raise invalid(f"failed to parse policy: path {path!r}: invalid policy {stanza['policy']!r}")
        capabilities |= _LEGACY[stanza["policy"]]
    if unknown := capabilities - _CAPABILITIES:
        raise invalid(f"failed to parse policy: path {path!r}: invalid capability {min(unknown)!r}")
    return Rule(
        path=path,
        capabilities=frozenset({"deny"} if "deny" in capabilities else capabilities),
        allowed=_parameters(stanza.get("allowed_parameters")),
        denied=_parameters(stanza.get("denied_parameters")),
        required=frozenset(name.lower() for name in stanza.get("required_parameters", ())),
    )


def _parameters(found: Mapping[str, Sequence[Any]] | None) -> Parameters | None:
    return None if found is None else {name.lower(): tuple(values) for name, values in found.items()}


class Acl:
    """What the policies of one token allow."""

    def __init__(self, policies: Iterable[Iterable[Rule]], *, root: bool = False) -> None:
        self._root = root
        self._exact: dict[str, Rule] = {}
        self._wildcards: dict[str, Rule] = {}
        for rule in (rule for policy in policies for rule in policy):
            rules = self._exact if rule.is_exact else self._wildcards
            rules[rule.path] = rules[rule.path].merged(rule) if rule.path in rules else rule

    def rule(self, path: str, *, listing: bool = False) -> Rule | None:
        """The one rule that decides about ``path``."""
        folder = path.removesuffix("/") if listing and path.endswith("/") else None
        return (
            self._exact.get(path)
            or (self._exact.get(folder) if folder is not None else None)
            or self._best(path)
            or (self._best(folder) if folder is not None else None)
        )

    def _best(self, path: str) -> Rule | None:
        matching = [rule for rule in self._wildcards.values() if rule.matches(path)]
        return max(matching, key=lambda rule: rule.priority, default=None)

    def allows(self, operation: Operation, path: str, data: Mapping[str, Any], *, sudo: bool = False) -> bool:
        """Whether the request may proceed."""
        if self._root:
            return True
        rule = self.rule(path, listing=operation is Operation.LIST)
        if rule is None or operation.value not in rule.capabilities or (sudo and "sudo" not in rule.capabilities):
            return False
        return operation in {Operation.LIST, Operation.DELETE} or rule.accepts(data)

    def capabilities(self, path: str) -> list[str]:
        """Sorted capabilities on ``path``, as ``sys/capabilities-self`` tells them."""
        if self._root:
            return ["root"]
        rule = self.rule(path, listing=True)
        return sorted(rule.capabilities) if rule is not None and rule.capabilities else ["deny"]
