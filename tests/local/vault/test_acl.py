"""Policy precedence as Vault documents it: one rule decides, by the table of its documentation."""

import pytest

from local.vault.acl import Acl, parse
from local.vault.api import Operation, VaultError

ALL = '["create", "read", "update", "delete", "list"]'


def acl(*policies: str) -> Acl:
    return Acl([parse(policy) for policy in policies])


def path(pattern: str, capabilities: str = '["read"]') -> str:
    return f'path "{pattern}" {{ capabilities = {capabilities} }}\n'


@pytest.mark.parametrize(
    ("pattern", "request_path", "matches"),
    [
        ("secret/foo", "secret/foo", True),
        ("secret/foo", "secret/foo/", False),
        ("secret/foo", "secret/foo/bar", False),
        ("/secret/foo", "secret/foo", True),
        ("secret/*", "secret/foo/bar", True),
        ("secret/*", "secret/", True),
        ("secret/*", "secret", False),
        ("secret/zip-*", "secret/zip-a/b", True),
        ("secret/zip-*", "secret/zap", False),
        ("*", "anything/at/all", True),
        ("secret/*/x", "secret/a/x", False),
        ("secret/*/x", "secret/*/x", True),
        ("secret/+/x", "secret/a/x", True),
        ("secret/+/x", "secret//x", True),
        ("secret/+/x", "secret/a/b/x", False),
        ("secret/+", "secret/a", True),
        ("secret/+", "secret/a/b", False),
        ("+/foo", "secret/foo", True),
        ("+/+/x", "a/b/x", True),
        ("secret/+/x*", "secret/a/xyz/more", True),
        ("secret/+/*", "secret/a/", True),
        ("secret/+/*", "secret/a", False),
        ("secret/a+b", "secret/aXb", False),
        ("secret/a+b", "secret/a+b", True),
        ("secret/a.c", "secret/abc", False),
    ],
)
def test_which_paths_a_rule_covers(pattern: str, request_path: str, matches: bool) -> None:
    assert acl(path(pattern)).allows(Operation.READ, request_path, {}) is matches


@pytest.mark.parametrize(
    ("winner", "loser", "request_path"),
    [
        ("secret/a", "secret/*", "secret/a"),
        ("secret/a", "secret/+", "secret/a"),
        ("secret/a/*", "secret/*", "secret/a/b"),
        ("secret/ab*", "secret/a*", "secret/abc"),
        ("secret/a/*", "secret/+/b", "secret/a/b"),  # the wildcard comes later
        ("secret/+", "secret/*", "secret/a"),  # no * at the end
        ("secret/+/b", "secret/+/*", "secret/a/b"),
        ("a/+/c/d", "a/+/+/d", "a/b/c/d"),  # fewer +
        ("a/+/c/dd*", "a/+/c/d*", "a/b/c/ddd"),  # longer
        ("secret/a/+", "+/a/b", "secret/a/b"),
    ],
)
def test_the_more_specific_rule_decides_alone(winner: str, loser: str, request_path: str) -> None:
    for first, second in ((winner, loser), (loser, winner)):
        denied = acl(*(path(p, '["deny"]' if p == winner else ALL) for p in (first, second)))
        assert not denied.allows(Operation.READ, request_path, {}), "a more specific deny beats an allow"

        allowed = acl(*(path(p, '["read"]' if p == winner else '["deny"]') for p in (first, second)))
        assert allowed.allows(Operation.READ, request_path, {}), "a less specific deny does not beat an allow"

        narrow = acl(*(path(p, '["read"]' if p == winner else ALL) for p in (first, second)))
        assert not narrow.allows(Operation.UPDATE, request_path, {}), "capabilities of two paths never add up"


def test_same_path_in_two_policies_adds_up_unless_one_denies() -> None:
    both = acl(path("secret/a", '["read"]'), path("secret/a", '["update"]'))
    assert both.allows(Operation.READ, "secret/a", {})
    assert both.allows(Operation.UPDATE, "secret/a", {})
    assert both.capabilities("secret/a") == ["read", "update"]

    denied = acl(path("secret/a", '["read"]'), path("secret/a", '["deny", "update"]'))
    assert denied.capabilities("secret/a") == ["deny"]
    assert not denied.allows(Operation.READ, "secret/a", {})


@pytest.mark.parametrize("operation", list(Operation))
def test_an_operation_needs_its_own_capability(operation: Operation) -> None:
    assert acl(path("a", f'["{operation}"]')).allows(operation, "a", {})
    others = [other.value for other in Operation if other is not operation]
    assert not acl(path("a", str(others).replace("'", '"'))).allows(operation, "a", {})


def test_nothing_is_allowed_by_default() -> None:
    assert not Acl([]).allows(Operation.READ, "secret/a", {})
    assert Acl([]).capabilities("secret/a") == ["deny"]
    assert Acl([], root=True).allows(Operation.DELETE, "sys/mounts/x", {}, sudo=True)
    assert Acl([], root=True).capabilities("secret/a") == ["root"]


def test_sudo_is_needed_besides_the_operation() -> None:
    assert not acl(path("sys/auth/x", '["update"]')).allows(Operation.UPDATE, "sys/auth/x", {}, sudo=True)
    assert not acl(path("sys/auth/x", '["sudo"]')).allows(Operation.UPDATE, "sys/auth/x", {}, sudo=True)
    assert acl(path("sys/auth/x", '["update", "sudo"]')).allows(Operation.UPDATE, "sys/auth/x", {}, sudo=True)


def test_list_falls_back_to_the_path_without_slash() -> None:
    exact = acl(path("secret/a", '["list"]'))
    assert exact.allows(Operation.LIST, "secret/a/", {})
    assert acl(path("secret/+", '["list"]')).allows(Operation.LIST, "secret/a/", {})
    assert not acl(path("secret/a", '["read"]')).allows(Operation.READ, "secret/a/", {})


@pytest.mark.parametrize(
    ("legacy", "capabilities"),
    [
        ("deny", ["deny"]),
        ("read", ["list", "read"]),
        ("write", ["create", "delete", "list", "read", "update"]),
        ("sudo", ["create", "delete", "list", "read", "sudo", "update"]),
    ],
)
def test_legacy_policy_words(legacy: str, capabilities: list[str]) -> None:
    assert acl(f'path "a" {{ policy = "{legacy}" }}').capabilities("a") == capabilities


@pytest.mark.parametrize(
    ("constraint", "data", "allowed"),
    [
        ('required_parameters = ["a", "b"]', {"a": 1, "B": 2}, True),
        ('required_parameters = ["a", "b"]', {"a": 1}, False),
        ('required_parameters = ["a"]', {}, False),
        ('allowed_parameters = { "a" = [] }', {"a": "anything"}, True),
        ('allowed_parameters = { "a" = [] }', {"b": "anything"}, False),
        ('allowed_parameters = { "a" = [] }', {}, True),
        ('allowed_parameters = { "a" = ["x", "y"] }', {"a": "y"}, True),
        ('allowed_parameters = { "a" = ["x", "y"] }', {"a": "z"}, False),
        ('allowed_parameters = { "a" = ["x"], "*" = [] }', {"a": "x", "b": 1}, True),
        ('allowed_parameters = { "a" = ["x"], "*" = [] }', {"a": "y"}, False),
        ('allowed_parameters = { "a" = ["x"] }', {"a": "y", "A": "x"}, False),
        ('denied_parameters = { "a" = ["y"] }', {"a": "y", "A": "x"}, False),
        ('allowed_parameters = { "*" = ["x"] }', {"a": "y"}, True),
        ('allowed_parameters = { "a" = [], "*" = ["x"] }', {"b": "y"}, True),
        ("allowed_parameters = {}", {"a": "y"}, True),
        ('allowed_parameters = { "a" = ["*"] }', {"a": "y"}, False),
        ('allowed_parameters = { "a" = ["*"] }', {"a": "*"}, True),
        ('denied_parameters = { "a" = ["*"] }', {"a": "y"}, True),
        ('allowed_parameters = { "a" = ["x*"] }', {"a": "xyz"}, True),
        ('allowed_parameters = { "a" = ["*z"] }', {"a": "xyz"}, True),
        ('allowed_parameters = { "a" = ["*q*"] }', {"a": "xyz"}, False),
        ('denied_parameters = { "a" = [] }', {"a": "x"}, False),
        ('denied_parameters = { "a" = [] }', {"b": "x"}, True),
        ('denied_parameters = { "a" = ["x"] }', {"a": "y"}, True),
        ('denied_parameters = { "a" = ["x"] }', {"a": "x"}, False),
        ('denied_parameters = { "*" = [] }', {"b": "x"}, False),
    ],
)
def test_parameters(constraint: str, data: dict[str, object], allowed: bool) -> None:
    policy = f'path "a" {{\n capabilities = ["update"]\n {constraint}\n }}'

    assert acl(policy).allows(Operation.UPDATE, "a", data) is allowed


def test_json_policy_means_the_same() -> None:
    assert parse('{"path": {"secret/*": {"capabilities": ["read"]}}}') == parse(path("secret/*"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path {", "failed to parse policy"),
        ('path "a" { capabilities = ["fly"] }', "invalid capability 'fly'"),
        ('path "a" { policy = "everything" }', "invalid policy 'everything'"),
        ('path "a" { capabilitis = ["read"] }', "invalid key 'capabilitis'"),
        ('paths "a" { capabilities = ["read"] }', "invalid key 'paths'"),
        ('path "a/+*" { capabilities = ["read"] }', "forbidden"),
        ("{", "failed to parse policy"),
    ],
)
def test_what_is_no_policy(text: str, reason: str) -> None:
    with pytest.raises(VaultError, match=reason) as caught:
        parse(text)
    assert caught.value.status == 400
