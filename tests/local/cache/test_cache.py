"""A declared cache on loopback: who enters it, as whom, and what they may do there."""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import httpx
import pytest
import valkey
from constructs.valkey_cache import ACCESS
from valkey.exceptions import AuthenticationError, NoPermissionError

from anfl import cache
from anfl.cache import IamLogin, Settings
from anfl.resources import CacheUse
from local.cache.declared import cache_in, program
from local.certificates import authority, trusted_with
from local.environment import free_ports
from local.resolved import Resources, fetch
from tests.local.aws.conftest import REGION, Aws, running, wait_until

MINE = CacheUse.THROTTLE
OTHERS = CacheUse.HINTS


@dataclass(frozen=True, kw_only=True)
class Place:
    """A served cache."""

    aws: Aws
    port: int
    group: str
    trusted: Path
    process: "subprocess.Popen[bytes]"

    def session(self, role: str, region: str = REGION) -> boto3.session.Session:
        """Of somebody who has taken on ``role``."""
        arn = f"arn:aws:iam::123456789012:role/{role}"
        given = self.aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
        keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return boto3.session.Session(*keys, region_name=region)

    def enter(self, user: str, password: str) -> Any:
        """A client; it enters with its first command."""
        return valkey.Valkey(
            host="127.0.0.1",
            port=self.port,
            username=user,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.trusted),
            ssl_check_hostname=True,
            socket_timeout=5,
        )

    def signed(self, role: str, use: CacheUse = MINE, *, name: str | None = None, region: str = REGION) -> str:
        """A password of ``role`` for the user of ``use``."""
        login = IamLogin(name=name or self.group, user=f"c-{use}", session=self.session(role, region))
        return login.get_credentials()[1]

    def refuses(self, password: str, use: CacheUse = MINE) -> bool:
        """Whether nobody enters by ``password``."""
        with pytest.raises(AuthenticationError, match="invalid username-password pair"):
            self.enter(f"c-{use}", password).ping()
        return True


def _stack(aws: Aws) -> None:
    kind = "AWS::ElastiCache::"
    may = {
        "Effect": "Allow",
        "Action": "elasticache:Connect",
        "Resource": [
            {"Fn::Join": ["", ["arn:aws:elasticache:us-west-1:123456789012:replicationgroup:", {"Ref": "Nodes"}]]},
            f"arn:aws:elasticache:us-west-1:123456789012:user:c-{MINE}",
        ],
    }
    trust: dict[str, Any] = {"AssumeRolePolicyDocument": {"Statement": []}}
    policy = {"Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [may]}}]}
    aws.create(
        "cache",
        {
            **{
                f"User{use}": {
                    "Type": f"{kind}User",
                    "Properties": {"UserId": f"c-{use}", "UserName": f"c-{use}", "AccessString": access},
                }
                for use, access in ACCESS.items()
            },
            "Users": {
                "Type": f"{kind}UserGroup",
                "Properties": {"UserGroupId": "c", "UserIds": [{"Ref": f"User{use}"} for use in ACCESS]},
            },
            "Parameters": {
                "Type": f"{kind}ParameterGroup",
                "Properties": {"Properties": {"maxmemory-policy": "allkeys-lru"}},
            },
            "Nodes": {
                "Type": f"{kind}ReplicationGroup",
                "Properties": {"UserGroupIds": [{"Ref": "Users"}], "CacheParameterGroupName": {"Ref": "Parameters"}},
            },
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "may", **trust, **policy}},
            "Stranger": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "may-not", **trust}},
        },
        Outputs={
            "Host": {"Value": {"Fn::GetAtt": ["Nodes", "PrimaryEndPoint.Address"]}},
            "Port": {"Value": {"Fn::GetAtt": ["Nodes", "PrimaryEndPoint.Port"]}},
        },
    )


@contextmanager
def _served(aws: Aws, folder: Path, port: int) -> Iterator[Place]:
    found = cache_in(Resources(fetch(aws.endpoint), region=REGION))
    assert found is not None
    [health] = free_ports(1)
    vouched = authority(folder / "tls")
    log = folder / "cache.log"
    run = program(
        found, name="cache", port=port, health=health, aws=aws.endpoint, tls=vouched.folder, environment={}, log=log
    )
    assert run.command[0] == sys.executable
    with log.open("wb") as output:
        process = subprocess.Popen(run.command, cwd=run.directory, stdout=output, stderr=output)
    try:
        with httpx.Client(trust_env=False) as client:

            def serves() -> bool:
                try:
                    return client.get(run.health).is_success
                except httpx.TransportError:
                    return False

            wait_until(lambda: process.poll() is not None or serves(), seconds=60)
        assert process.poll() is None, log.read_text()
        yield Place(aws=aws, port=port, group=found.group, trusted=trusted_with(vouched), process=process)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(name="place", scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    [port] = free_ports(1)
    with running(tmp_path_factory.mktemp("aws"), "--caches", json.dumps({REGION: port})) as aws:
        _stack(aws)
        with _served(aws, tmp_path_factory.mktemp("cache"), port) as place:
            yield place


def test_templates_are_told_where_it_is_and_it_is_no_placeholder(place: Place) -> None:
    (stack,) = place.aws.client("cloudformation").describe_stacks(StackName="cache")["Stacks"]
    told = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    assert told == {"Host": "127.0.0.1", "Port": str(place.port)}
    assert not [kind for kind in place.aws.get("/_anfl/placeholders") if "ElastiCache" in kind]


def test_what_the_services_use_works_as_the_declared_users(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(place.trusted))
    settings = Settings(host="127.0.0.1", port=place.port, name=place.group, throttle_user=f"c-{MINE}")
    buckets = cache.buckets(settings, place.session("may"))
    assert buckets is not None
    assert buckets.spend({"me": 3}, token_seconds=2.0, most_seconds=60.0) == [6.0]
    [left] = buckets.spend({"me": 1}, token_seconds=2.0, most_seconds=60.0) or [0.0]
    assert 7.0 < left <= 8.0


def test_a_user_keeps_to_its_own_keys_and_commands(place: Place) -> None:
    client = place.enter(f"c-{MINE}", place.signed("may"))
    assert client.set("throttle:a", "1") is True
    for forbidden in (
        lambda: client.get("hint:a"),
        lambda: client.keys("*"),
        lambda: client.flushall(),
        lambda: client.config_get("*"),
        lambda: client.execute_command("ACL", "LIST"),
        lambda: client.execute_command("ACL", "SETUSER", "me", "on"),
    ):
        with pytest.raises(NoPermissionError):
            forbidden()  # type: ignore[no-untyped-call]


def test_large_values_and_many_commands_pass(place: Place) -> None:
    client = place.enter(f"c-{MINE}", place.signed("may"))
    large = "x" * 3_000_000
    assert client.set("throttle:large", large) is True
    assert client.get("throttle:large") == large.encode()
    with client.pipeline(transaction=False) as many:
        for number in range(5000):
            many.set(f"throttle:{number}", number)
        assert many.execute() == [True] * 5000


def test_who_may_not_connect_does_not(place: Place) -> None:
    assert place.refuses(place.signed("may-not"))
    assert place.refuses(place.signed("may", OTHERS), OTHERS), "the role is granted another user"


def test_a_password_is_for_one_cache_user_and_region(place: Place) -> None:
    assert place.refuses(place.signed("may", OTHERS))
    assert place.refuses(place.signed("may", name="another-cache"))
    assert place.refuses(place.signed("may", region="eu-west-1"))


@pytest.mark.parametrize(
    ("what", "by"),
    [
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-Expires=900", "X-Amz-Expires=90000"),
        ("X-Amz-Expires=900", "X-Amz-Expires=0"),
        ("X-Amz-Date=2", "X-Amz-Date=3"),
        ("X-Amz-Security-Token=", "X-Amz-Security-Token=x"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none"),
        ("Action=connect", "Action=Connect"),
        ("/?", "/more?"),
    ],
)
def test_an_altered_password_is_noticed(place: Place, what: str, by: str) -> None:
    password = place.signed("may")
    assert what in password
    assert place.refuses(password.replace(what, by))


@pytest.mark.parametrize("password", ["", "secret", "?", "a/?b=c", "x" * 8192])
def test_no_password_that_is_no_request(place: Place, password: str) -> None:
    assert place.refuses(password or " ")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_password_of_another_time_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    session = place.session("may")
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: then)
    login = IamLogin(name=place.group, user=f"c-{MINE}", session=session)
    assert place.refuses(login.get_credentials()[1])


def test_nobody_but_the_declared_users_enters(place: Place) -> None:
    for user in ("default", "", "c-nobody"):
        login = IamLogin(
            name=place.group, user=user, session=boto3.session.Session("local", "local", region_name=REGION)
        )
        with pytest.raises(AuthenticationError, match="invalid username-password pair"):
            place.enter(user or " ", login.get_credentials()[1]).ping()


def _raw(place: Place, sent: bytes) -> bytes:
    context = ssl.create_default_context(cafile=place.trusted)
    with (
        socket.create_connection(("127.0.0.1", place.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.version() == "TLSv1.3"
        answer = b""
        with suppress(ConnectionError):
            secured.sendall(sent)
            while part := secured.recv(4096):
                answer += part
        return answer


@pytest.mark.parametrize(
    "command", [b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"*2\r\n$4\r\nAUTH\r\n$1\r\na\r\n"]
)
def test_nothing_is_answered_before_a_login(place: Place, command: bytes) -> None:
    assert _raw(place, command) == b"-NOAUTH Authentication required.\r\n"


@pytest.mark.parametrize(
    "sent", [b"PING\r\n", b"*9\r\n", b"*-1\r\n", b"*1\r\n$9999999\r\n", b"\x00" * 70_000, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_command_ends_the_connection(place: Place, sent: bytes) -> None:
    assert _raw(place, sent) == b""
    assert place.enter(f"c-{MINE}", place.signed("may")).ping() is True


def test_older_tls_and_plain_text_are_refused(place: Place) -> None:
    context = ssl.create_default_context(cafile=place.trusted)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", place.port), 10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", place.port), 10) as plain:
        plain.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert b"NOAUTH" not in plain.recv(100)


def test_no_password_is_in_the_log(place: Place) -> None:
    password = place.signed("may-not")
    assert place.refuses(password)
    logs = [file.read_text() for file in (place.aws.logs / "aws.log", place.trusted.parents[1] / "cache.log")]
    assert any("may not enter" in log for log in logs)
    for secret in password.split("&"):
        if "Signature=" in secret or "Token=" in secret:
            assert not any(secret.partition("=")[2] in log for log in logs)
