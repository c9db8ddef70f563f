"""AppRole, JWT and AWS logins through hvac, as Vault documents them."""

import time
from collections.abc import Callable
from typing import Any

import hvac
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

from local.vault.aws_auth import Caller
from tests.local.vault.conftest import Clock

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class TestAppRole:
    @pytest.fixture
    def approle(self, root: hvac.Client) -> Any:
        root.sys.enable_auth_method("approle")
        return root.auth.approle

    @pytest.fixture
    def login(self, address: str) -> Callable[..., Any]:
        login: Callable[..., Any] = hvac.Client(url=address, token="").auth.approle.login
        return login

    def test_login_tells_policies_and_metadata(self, approle: Any, login: Callable[..., Any]) -> None:
        approle.create_or_update_approle("r", token_policies=["p"], token_ttl="10m")
        role_id = approle.read_role_id("r")["data"]["role_id"]
        secret_id = approle.generate_secret_id("r", metadata={"tenant": "demo"})["data"]["secret_id"]

        auth = login(role_id, secret_id)["auth"]

        assert auth["metadata"] == {"role_name": "r", "tenant": "demo"}
        assert auth["policies"] == ["default", "p"]
        assert (auth["lease_duration"], auth["orphan"]) == (600, True)

    def test_blanks_around_ids_do_not_count(self, approle: Any, login: Callable[..., Any]) -> None:
        approle.create_or_update_approle("r")
        role_id = approle.read_role_id("r")["data"]["role_id"]
        secret_id = approle.generate_secret_id("r")["data"]["secret_id"]

        assert login(f" {role_id}\n", f"{secret_id}\u3000")["auth"]["metadata"] == {"role_name": "r"}
        with pytest.raises(InvalidRequest, match="missing role_id"):
            login(" ", secret_id)

    @pytest.mark.parametrize(
        ("of_role", "of_secret_id", "refusal"),
        [
            ({}, {}, None),
            ({"secret_id_bound_cidrs": ["10.0.0.0/8", "127.0.0.1"]}, {"cidr_list": ["127.0.0.1/32"]}, None),
            ({"token_bound_cidrs": ["127.0.0.0/8"]}, {"token_bound_cidrs": ["127.0.0.1"]}, None),
            ({"secret_id_bound_cidrs": ["10.0.0.0/8"]}, {}, InvalidRequest),
            ({"secret_id_bound_cidrs": ["::1/128"]}, {}, InvalidRequest),
            ({}, {"cidr_list": ["10.0.0.0/8"]}, InvalidRequest),
            ({"token_bound_cidrs": ["10.0.0.0/8"]}, {}, Forbidden),
            ({"token_bound_cidrs": ["127.0.0.0/8"]}, {"token_bound_cidrs": ["127.0.0.2"]}, Forbidden),
        ],
    )
    def test_logins_come_from_the_networks_of_role_and_secret_id(
        self,
        approle: Any,
        login: Callable[..., Any],
        of_role: dict[str, Any],
        of_secret_id: dict[str, Any],
        refusal: type[Exception] | None,
    ) -> None:
        approle.create_or_update_approle("r", **of_role)
        role_id = approle.read_role_id("r")["data"]["role_id"]
        secret_id = approle.generate_secret_id("r", **of_secret_id)["data"]["secret_id"]

        if refusal is None:
            assert login(role_id, secret_id)["auth"]["client_token"]
        else:
            with pytest.raises(refusal, match=r"CIDR|denied"):
                login(role_id, secret_id)

    def test_a_role_without_secret_ids_is_bound_to_its_networks(self, approle: Any, login: Callable[..., Any]) -> None:
        approle.create_or_update_approle("r", bind_secret_id=False, secret_id_bound_cidrs=["10.0.0.0/8"])
        with pytest.raises(InvalidRequest, match="CIDR"):
            login(approle.read_role_id("r")["data"]["role_id"], None)

    def test_networks_are_networks_and_a_secret_ids_are_within_its_roles(self, approle: Any) -> None:
        for name in ("secret_id_bound_cidrs", "token_bound_cidrs"):
            with pytest.raises(InvalidRequest, match="CIDR"):
                approle.create_or_update_approle("r", **{name: ["everywhere"]})
        approle.create_or_update_approle("r", secret_id_bound_cidrs=["10.0.0.0/8"], token_bound_cidrs=["10.0.0.0/8"])
        for name in ("cidr_list", "token_bound_cidrs"):
            with pytest.raises(InvalidRequest, match="subset"):
                approle.generate_secret_id("r", **{name: ["127.0.0.1"]})

    def test_uses_and_ttl_end_a_secret_id(self, approle: Any, login: Callable[..., Any], clock: Clock) -> None:
        approle.create_or_update_approle("r", secret_id_num_uses=2, secret_id_ttl="1h")
        role_id = approle.read_role_id("r")["data"]["role_id"]
        used, aged = (approle.generate_secret_id("r")["data"]["secret_id"] for _ in "12")
        for _ in range(2):
            login(role_id, used)
        with pytest.raises(InvalidRequest, match="invalid role or secret ID"):
            login(role_id, used)

        clock.passed += 3601
        with pytest.raises(InvalidRequest, match="invalid role or secret ID"):
            login(role_id, aged)

    @pytest.mark.parametrize(
        ("role_id", "secret_id", "reason"),
        [
            ("", "s", "missing role_id"),
            ("unknown", "s", "invalid role or secret ID"),
            (None, "", "missing secret_id"),
            (None, "wrong", "invalid role or secret ID"),
        ],
    )
    def test_refusals(
        self, approle: Any, login: Callable[..., Any], role_id: str | None, secret_id: str, reason: str
    ) -> None:
        approle.create_or_update_approle("r")
        known = approle.read_role_id("r")["data"]["role_id"]

        with pytest.raises(InvalidRequest, match=reason):
            login(known if role_id is None else role_id, secret_id)

    def test_destroyed_secret_id_is_refused(self, approle: Any, login: Callable[..., Any]) -> None:
        approle.create_or_update_approle("r")
        role_id = approle.read_role_id("r")["data"]["role_id"]
        made = approle.generate_secret_id("r")["data"]
        assert approle.list_secret_id_accessors("r")["data"]["keys"] == [made["secret_id_accessor"]]

        approle.destroy_secret_id_accessor("r", made["secret_id_accessor"])

        with pytest.raises(InvalidRequest):
            login(role_id, made["secret_id"])

    def test_expired_secret_ids_are_forgotten(self, approle: Any, clock: Clock) -> None:
        approle.create_or_update_approle("r", secret_id_ttl="1h")
        accessors = [approle.generate_secret_id("r")["data"]["secret_id_accessor"] for _ in "123"]
        assert sorted(approle.list_secret_id_accessors("r")["data"]["keys"]) == sorted(accessors)

        clock.passed += 3601

        with pytest.raises(InvalidPath):
            approle.read_secret_id_accessor("r", accessors[1])
        with pytest.raises(InvalidPath):
            approle.list_secret_id_accessors("r")

    def test_update_keeps_what_it_does_not_name(self, approle: Any) -> None:
        approle.create_or_update_approle("r", token_policies=["p"], token_ttl="10m", secret_id_num_uses=3)
        approle.create_or_update_approle("r", token_ttl="5m")

        role = approle.read_role("r")["data"]

        assert (role["token_policies"], role["token_ttl"], role["secret_id_num_uses"]) == (["p"], 300, 3)
        with pytest.raises(InvalidRequest, match="at least one constraint"):
            approle.create_or_update_approle("r", bind_secret_id=False)


class TestJwt:
    @pytest.fixture
    def configured(self, root: hvac.Client) -> hvac.Client:
        root.sys.enable_auth_method("jwt")
        root.auth.jwt.configure(jwt_validation_pubkeys=[pem(KEY)], bound_issuer="issuer", default_role="r")
        self.role(root)
        return root

    @staticmethod
    def role(root: hvac.Client, **changes: Any) -> None:
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": ["audience"],
            "claim_mappings": {"tenant": "tenant", "/nested/name": "name"},
            "token_type": "batch",
            "token_no_default_policy": True,
        }
        root.adapter.post("/v1/auth/jwt/role/r", json=role | changes)

    @staticmethod
    def login(
        root: hvac.Client, key: Any = KEY, algorithm: str = "ES256", role: str = "r", **changes: Any
    ) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": "issuer", "aud": "audience", "sub": "alice", "iat": now, "exp": now + 60, "tenant": "demo"}
        token = jwt.encode({n: v for n, v in (claims | changes).items() if v is not None}, key, algorithm)
        auth: dict[str, Any] = root.auth.jwt.jwt_login(role, token, use_token=False)["auth"]
        return auth

    def test_login_maps_claims(self, configured: hvac.Client) -> None:
        auth = self.login(configured, nested={"name": "n"})

        assert auth["metadata"] == {"role": "r", "tenant": "demo", "name": "n"}
        assert auth["token_type"] == "batch"
        assert auth["policies"] == []

    def test_any_of_several_keys_will_do(self, configured: hvac.Client) -> None:
        other = ec.generate_private_key(ec.SECP256R1())
        configured.auth.jwt.configure(jwt_validation_pubkeys=[pem(other), pem(KEY)], bound_issuer="issuer")

        for key in (KEY, other):
            assert self.login(configured, key)["metadata"]["tenant"] == "demo"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"iss": "another"}, "invalid issuer"),
            ({"aud": "another"}, "invalid audience"),
            ({"aud": None}, "invalid audience"),
            ({"exp": 1}, "expired"),
            ({"nbf": 2**33}, "not yet valid"),
            ({"iat": 2**33, "nbf": 1}, "issued in the future"),
            ({"iat": None, "exp": None}, "no issued at"),
            ({"exp": "soon"}, "error validating token"),
            ({"sub": None}, 'claim "sub" not found'),
            ({"sub": 7}, "error validating token|not found"),
            ({"tenant": ["a"]}, "error converting claim 'tenant' to string"),
            ({"role": "unknown"}, "could not be found"),
            ({"key": ec.generate_private_key(ec.SECP256R1())}, "no known key"),
            ({"key": pem(KEY)[:32], "algorithm": "HS256"}, "no known key"),
            ({"key": "", "algorithm": "none"}, "no known key"),
        ],
    )
    def test_refusals(self, configured: hvac.Client, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(InvalidRequest, match=reason):
            self.login(configured, **changes)

    @pytest.mark.parametrize(("expired_for", "taken"), [(4, True), (6, False)])
    def test_clock_skew_leeway(self, configured: hvac.Client, expired_for: int, taken: bool) -> None:
        self.role(configured, clock_skew_leeway=5)
        now = int(time.time())
        if taken:
            self.login(configured, iat=now - 60, exp=now - expired_for)
        else:
            with pytest.raises(InvalidRequest, match="expired"):
                self.login(configured, iat=now - 60, exp=now - expired_for)

    @pytest.mark.parametrize(
        ("bound", "claims", "taken"),
        [
            ({"roles": ["a", "b"]}, {"roles": ["b", "c"]}, True),
            ({"roles": ["a"]}, {"roles": ["b"]}, False),
            ({"roles": "a"}, {"roles": "a"}, True),
            ({"roles": "a"}, {}, False),
            ({"/deep/x": "1"}, {"deep": {"x": "1"}}, True),
            ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, False),
        ],
    )
    def test_bound_claims(
        self, configured: hvac.Client, bound: dict[str, Any], claims: dict[str, Any], taken: bool
    ) -> None:
        self.role(configured, bound_claims=bound)
        if taken:
            self.login(configured, **claims)
        else:
            with pytest.raises(InvalidRequest, match="error validating claims"):
                self.login(configured, **claims)

    def test_without_configuration(self, root: hvac.Client) -> None:
        root.sys.enable_auth_method("jwt")
        with pytest.raises(InvalidRequest, match="could not load configuration"):
            self.login(root)

    def test_role_must_bind_something(self, configured: hvac.Client) -> None:
        with pytest.raises(InvalidRequest, match="at least one bound constraint"):
            self.role(configured, bound_audiences=[])


class TestAws:
    """Refusals that need no STS; the login itself is proven with the set-up's tests."""

    @pytest.fixture
    def configured(self, root: hvac.Client) -> hvac.Client:
        root.sys.enable_auth_method("aws")
        root.auth.aws.configure(sts_endpoint="http://127.0.0.1:9", iam_server_id_header_value="this-vault")
        root.auth.aws.create_role("r", bound_iam_principal_arn=["arn:aws:iam::123456789012:role/r"])
        return root

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (None, "missing header"),
            ("another-vault", 'expected "this-vault"'),
            ("this-vault", "error making upstream request"),
        ],
    )
    def test_refusals(self, configured: hvac.Client, header: str | None, reason: str) -> None:
        with pytest.raises(InvalidRequest, match=reason):
            configured.auth.aws.iam_login("AKIDEXAMPLE", "secret", header_value=header, role="r")

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    def test_only_loopback_is_asked(self, configured: hvac.Client) -> None:
        configured.auth.aws.configure(sts_endpoint="https://sts.amazonaws.com", iam_server_id_header_value="")

        with pytest.raises(InvalidRequest, match="loopback"):
            configured.auth.aws.iam_login("AKIDEXAMPLE", "secret", role="r")

    def test_a_request_for_something_else_is_not_replayed(self, configured: hvac.Client) -> None:
        configured.auth.aws.configure(sts_endpoint="http://127.0.0.1:9", iam_server_id_header_value="")
        body = {
            "role": "r",
            "iam_http_request_method": "POST",
            "iam_request_url": "aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8=",
            "iam_request_headers": "e30=",
            "iam_request_body": "QWN0aW9uPUFzc3VtZVJvbGU=",
        }
        with pytest.raises(InvalidRequest, match="GetCallerIdentity"):
            configured.adapter.post("/v1/auth/aws/login", json=body)

    @pytest.mark.parametrize(
        ("arn", "canonical", "name"),
        [
            ("arn:aws:sts::123456789012:assumed-role/R/session", "arn:aws:iam::123456789012:role/R", "R"),
            ("arn:aws:iam::123456789012:user/path/u", "arn:aws:iam::123456789012:user/path/u", "u"),
            ("arn:aws-us-gov:sts::123456789012:assumed-role/R/s", "arn:aws-us-gov:iam::123456789012:role/R", "R"),
        ],
    )
    def test_canonical_arn(self, arn: str, canonical: str, name: str) -> None:
        caller = Caller(arn=arn, user_id="id", account="123456789012")

        assert (caller.canonical_arn, caller.friendly_name) == (canonical, name)


def test_logins_need_no_token_but_everything_around_them_does(root: hvac.Client, address: str) -> None:
    for method in ("approle", "jwt", "aws"):
        root.sys.enable_auth_method(method)
    stranger = hvac.Client(url=address, token="")

    for method, path in (("approle", "role/r"), ("jwt", "config"), ("aws", "config/client")):
        with pytest.raises(Forbidden):
            stranger.adapter.get(f"/v1/auth/{method}/{path}")
        with pytest.raises(InvalidRequest):
            stranger.adapter.post(f"/v1/auth/{method}/login", json={})


def test_login_cannot_make_a_root_token(root: hvac.Client, address: str) -> None:
    root.sys.enable_auth_method("approle")
    root.auth.approle.create_or_update_approle("r", token_policies=["root"])
    role_id = root.auth.approle.read_role_id("r")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("r")["data"]["secret_id"]

    with pytest.raises(InvalidRequest, match="cannot create root tokens"):
        hvac.Client(url=address, token="").auth.approle.login(role_id, secret_id)
