"""The JWT method: a token signed by a key that was pushed into the configuration, bound to a role by its claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.api_jws import PyJWS

from local.vault.api import Backend, Operation, Reply, Request, Route, VaultError, absent, invalid
from local.vault.core import Core
from local.vault.fields import Data, integer, mapping, seconds, strings, text
from local.vault.tokens import TokenParams

READ, UPDATE, LIST, DELETE = Operation.READ, Operation.UPDATE, Operation.LIST, Operation.DELETE
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_LEEWAY = 150
_SKEW = 60


@dataclass(frozen=True, kw_only=True)
class _Config:
    keys: tuple[PublicKey, ...]
    bound_issuer: str
    default_role: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Role:
    user_claim: str
    bound_audiences: tuple[str, ...]
    bound_subject: str
    bound_claims: Mapping[str, Any]
    claim_mappings: Mapping[str, Any]
    expiration_leeway: int
    not_before_leeway: int
    clock_skew_leeway: int
    token: TokenParams
    fields: Mapping[str, Any]


class JwtBackend(Backend):
    """One JWT mount."""

    type_name = "jwt"

    def __init__(self, core: Core, mount: str) -> None:
        self._core = core
        self._mount = mount
        self._config: _Config | None = None
        self._roles: dict[str, _Role] = {}
        self.routes = (
            Route(path="login", operations={UPDATE: self._login}, public=True),
            Route(path="config", operations={READ: self._read_config, UPDATE: self._write_config}),
            Route(path="role", operations={LIST: self._list}),
            Route(path="role/", operations={LIST: self._list}),
            Route(
                path="role/{name}",
                operations={READ: self._read, UPDATE: self._write, DELETE: self._delete},
                exists=lambda request: request.params["name"] in self._roles,
            ),
        )

    def _read_config(self, _request: Request) -> Reply:
        if self._config is None:
            raise absent()
        return Reply(data=self._config.fields)

    def _write_config(self, request: Request) -> None:
        data = request.data
        sources = [n for n in ("jwks_url", "oidc_discovery_url", "jwt_validation_pubkeys") if data.get(n)]
        if len(sources) != 1:
            raise invalid("exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set")
        if sources != ["jwt_validation_pubkeys"]:
            raise invalid(f"set 'jwt_validation_pubkeys', not {sources[0]!r}: this development server fetches no keys")
        pems = strings(data, "jwt_validation_pubkeys")
        self._config = _Config(
            keys=tuple(_public_key(pem) for pem in pems),
            bound_issuer=text(data, "bound_issuer"),
            default_role=text(data, "default_role"),
            fields={
                "bound_issuer": text(data, "bound_issuer"),
                "default_role": text(data, "default_role"),
                "jwt_supported_algs": list(strings(data, "jwt_supported_algs")),
                "jwt_validation_pubkeys": list(pems),
                "jwks_ca_pem": "",
                "jwks_url": "",
                "oidc_client_id": "",
                "oidc_discovery_ca_pem": "",
                "oidc_discovery_url": "",
                "oidc_response_mode": "",
                "oidc_response_types": [],
                "provider_config": {},
            },
        )

    def _list(self, _request: Request) -> Reply:
        if not self._roles:
            raise absent()
        return Reply(data={"keys": sorted(self._roles)})

    def _read(self, request: Request) -> Reply:
        role = self._roles.get(request.params["name"])
        if role is None:
            raise absent()
        return Reply(data=role.fields)

    def _delete(self, request: Request) -> None:
        self._roles.pop(request.params["name"], None)

    def _write(self, request: Request) -> None:
        data = request.data
        kind = text(data, "role_type", "oidc")
        if kind != "jwt":
            raise invalid(f"this development server knows roles of type 'jwt' only, not {kind!r}")
        user_claim = text(data, "user_claim")
        if not user_claim:
            raise invalid("a user claim must be defined on the role")
        token = TokenParams.from_fields(data)
        audiences, subject = strings(data, "bound_audiences"), text(data, "bound_subject")
        claims = mapping(data, "bound_claims")
        if not (audiences or subject or claims or token.bound_cidrs):
            raise invalid("must have at least one bound constraint when creating/updating a role")
        mappings = mapping(data, "claim_mappings")
        if len(set(mappings.values())) != len(mappings):
            raise invalid("multiple keys are mapped to the same metadata key")
        leeways = {n: _leeway(data, n) for n in ("expiration_leeway", "not_before_leeway", "clock_skew_leeway")}
        fields: dict[str, Any] = {
            "role_type": kind,
            "user_claim": user_claim,
            "bound_audiences": list(audiences),
            "bound_subject": subject,
            "bound_claims": dict(claims),
            "bound_claims_type": text(data, "bound_claims_type", "string"),
            "claim_mappings": dict(mappings),
            "groups_claim": text(data, "groups_claim"),
            **leeways,
            **token.fields(),
        }
        self._roles[request.params["name"]] = _Role(
            user_claim=user_claim,
            bound_audiences=audiences,
            bound_subject=subject,
            bound_claims=claims,
            claim_mappings=mappings,
            token=token,
            fields=fields,
            **leeways,
        )

    def _login(self, request: Request) -> Reply:
        if self._config is None:
            raise invalid("could not load configuration")
        name = text(request.data, "role") or self._config.default_role
        if not name:
            raise invalid("missing role")
        role = self._roles.get(name)
        if role is None:
            raise invalid(f'role "{name}" could not be found')
        token = text(request.data, "jwt")
        if not token:
            raise invalid("missing token")
        claims = self._verified(token, self._config, role)
        subject = claims.get(role.user_claim)
        if not isinstance(subject, str):
            raise invalid(f'claim "{role.user_claim}" not found in token')
        _check_bound_claims(claims, role.bound_claims)
        metadata = {"role": name}
        for source, target in role.claim_mappings.items():
            value = _claim(claims, source)
            if value is not None and not isinstance(value, str):
                raise invalid(f"error converting claim '{source}' to string")
            if value is not None:
                metadata[target] = value
        return self._core.login(
            sender=request.sender,
            mount=self._mount,
            display_name=f"jwt-{subject}",
            params=role.token,
            metadata=metadata,
        )

    def _verified(self, token: str, config: _Config, role: _Role) -> Mapping[str, Any]:
        claims = _signed_by_any(token, config.keys)
        if config.bound_issuer and claims.get("iss") != config.bound_issuer:
            raise _refused("invalid issuer (iss) claim")
        if role.bound_subject and claims.get("sub") != role.bound_subject:
            raise _refused("invalid subject (sub) claim")
        audience = claims.get("aud", [])
        audiences = [audience] if isinstance(audience, str) else audience
        if audiences and not role.bound_audiences:
            raise invalid("audience claim found in JWT but no audiences bound to the role")
        if role.bound_audiences and not set(audiences) & set(role.bound_audiences):
            raise _refused("invalid audience (aud) claim: audience claim does not match any bound audience")
        self._check_times(claims, role)
        return claims

    def _check_times(self, claims: Mapping[str, Any], role: _Role) -> None:
        issued, expires, starts = (_moment(claims, name) for name in ("iat", "exp", "nbf"))
        if not (issued or expires or starts):
            raise _refused("no issued at (iat), not before (nbf), or expiration time (exp) claims in token")
        if not starts:
            starts = issued or max(0.0, expires - _default(role.not_before_leeway, _LEEWAY))
        if not expires:
            expires = max(issued, starts) + _default(role.expiration_leeway, _LEEWAY)
        now, skew = self._core.clock(), _default(role.clock_skew_leeway, _SKEW)
        if now < starts - skew:
            raise _refused("invalid not before (nbf) claim: token not yet valid")
        if now > expires + skew:
            raise _refused("invalid expiration time (exp) claim: token is expired")
        if now < issued - skew:
            raise _refused("invalid issued at (iat) claim: token is issued in the future")


def _signed_by_any(token: str, keys: tuple[PublicKey, ...]) -> Mapping[str, Any]:
    jws = PyJWS()
    for key in keys:
        try:
            payload = jws.decode_complete(token, key, algorithms=_algorithms(key))["payload"]
            claims = jwt.PyJWT().decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError):
            continue
        if payload and isinstance(claims, dict):
            return claims
    raise _refused("no known key successfully validated the token signature")


def _algorithms(key: PublicKey) -> list[str]:
    """Algorithms of the key's own family: a public key never serves as an HMAC secret."""
    if isinstance(key, rsa.RSAPublicKey):
        return ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return ["EdDSA"]
    return [{256: "ES256", 384: "ES384", 521: "ES512"}.get(key.key_size, "ES256")]


def _public_key(pem: str) -> PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise invalid(f"error parsing public key: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise invalid("error parsing public key: data does not contain any valid public keys")
    return key


def _refused(reason: str) -> VaultError:
    return invalid(f"error validating token: {reason}")


def _leeway(data: Data, name: str) -> int:
    """Seconds; negative disables, 0 takes the default."""
    return -1 if text(data, name).startswith("-") and integer(data, name) < 0 else seconds(data, name)


def _default(leeway: int, fallback: int) -> int:
    return 0 if leeway < 0 else leeway or fallback


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"{name} is no number")
    return float(value)


def _claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """A claim by name or JSON pointer; None where absent."""
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for step in name[1:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return None
    return found


def _check_bound_claims(claims: Mapping[str, Any], bound: Mapping[str, Any]) -> None:
    for name, wanted in bound.items():
        value = _claim(claims, name)
        if value is None:
            raise invalid(f'error validating claims: claim "{name}" is missing')
        values = value if isinstance(value, list) else [value]
        accepted = wanted if isinstance(wanted, list) else [wanted]
        if not any(one in accepted for one in values):
            raise invalid(f'error validating claims: claim "{name}" does not match any associated bound claim values')
