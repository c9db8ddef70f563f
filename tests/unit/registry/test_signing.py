"""Signatures of OpenSSF model-signing: those of the library hold, and nothing else does."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from anfl.cli.main import app
from anfl.problems import Problem
from anfl.registry import signing
from anfl.registry.policies import Requirement
from anfl.registry.registry import Registry
from anfl.registry.signing import SignatureError
from services.model_registry.app import assemble
from tests.unit.registry.conftest import TABLE, past_the_registry
from tests.unit.registry.test_artifact_store import register, upload
from tests.unit.registry.test_models import refused
from tests.unit.registry.test_protocol import Caller, TenantInToken

FILES = {"weights.bin": b"weights", "sub/config.json": b"{}", ".gitignore": b"x"}
DIGESTS = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}


class Pair:
    """A key pair, on disk as people have it."""

    def __init__(self, folder: Path, curve: ec.EllipticCurve | None = None) -> None:
        private = ec.generate_private_key(curve or ec.SECP256R1())
        folder.mkdir(parents=True, exist_ok=True)
        self.private, self.public = folder / "private.pem", folder / "public.pem"
        self.private.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self.pem = self.public.read_text()
        self.key = private


@pytest.fixture(name="pair")
def _pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path / "pair")


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def signed(path: Path, pair: Pair) -> str:
    """A signature as the command line, so the library, makes it."""
    target = path.parent / "signature.sig"
    result = CliRunner().invoke(
        app, ["models", "sign", str(path), "--key", str(pair.private), "--signature", str(target)]
    )
    assert result.exit_code == 0, result.output
    return target.read_text()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_what_the_library_signs_holds_for_these_files_alone(tmp_path: Path, model: Path, curve: Any) -> None:
    pair = Pair(tmp_path / "pair", curve)
    signature = signing.parse(signed(model, pair))
    assert signing.public_key(pair.pem) == (pair.pem, signature.key)
    signing.verify(signature, pem=pair.pem, files=DIGESTS)
    for files, reason in (
        (DIGESTS | {"weights.bin": "0" * 64}, "is not the file that was signed"),
        (DIGESTS | {"more": "0" * 64}, "is there and was not signed"),
        ({"weights.bin": DIGESTS["weights.bin"]}, "was signed and is not there"),
        (DIGESTS | {"weights.bin": None}, "was not recorded"),
    ):
        with pytest.raises(SignatureError, match=reason):
            signing.verify(signature, pem=pair.pem, files=files)


def test_a_single_file_is_signed_whatever_its_name(model: Path, pair: Pair) -> None:
    signature = signing.parse(signed(model / "weights.bin", pair))
    signing.verify(signature, pem=pair.pem, files={"renamed": DIGESTS["weights.bin"]})
    with pytest.raises(SignatureError):
        signing.verify(signature, pem=pair.pem, files=DIGESTS)


def test_what_calls_itself_another_payload_is_no_signature_of_a_model(model: Path, pair: Pair) -> None:
    document = json.loads(signed(model, pair))
    document["dsseEnvelope"]["payloadType"] = "application/json"
    with pytest.raises(SignatureError, match="a bundle must be"):
        signing.parse(json.dumps(document))


def test_the_library_verifies_what_is_kept(model: Path, pair: Pair, tmp_path: Path) -> None:
    kept = tmp_path / "kept.sig"
    kept.write_text(json.dumps(signing.bundle_of(signing.parse(signed(model, pair)))))
    verify = ["models", "verify", str(model), "--key", str(pair.public), "--signature", str(kept)]
    assert CliRunner().invoke(app, verify).exit_code == 0
    (model / "weights.bin").write_bytes(b"evil")
    changed = CliRunner().invoke(app, [*verify, "--json"])
    assert changed.exit_code == 1
    assert "weights.bin" in json.loads(changed.stdout)["reason"]
    other = Pair(tmp_path / "other")
    foreign = ["models", "verify", str(model), "--key", str(other.public), "--signature", str(kept)]
    assert CliRunner().invoke(app, foreign).exit_code == 1


def resigned(bundle: str, pair: Pair, change: Callable[[Any], None]) -> str:
    """The statement changed, and signed properly by the same key."""
    document = json.loads(bundle)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    raw = pair.key.sign(signing._pae(payload), ec.ECDSA(SHA256()))
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    document["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(raw).decode()
    return json.dumps(document)


STATEMENTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "its digest": (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "contradicts itself"),
    "another type": (lambda s: s.update(_type="x"), "must be one"),
    "another predicate": (lambda s: s.update(predicateType="x"), "must be one"),
    "two subjects": (lambda s: s["subject"].append(s["subject"][0]), "must be one"),
    "shards": (lambda s: s["predicate"]["serialization"].update(method="shards"), "whole files"),
    "blake3": (lambda s: s["predicate"]["resources"][0].update(algorithm="blake3"), "by sha256"),
    "a file twice": (lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "twice"),
    "no checksum": (lambda s: s["predicate"]["resources"][0].update(digest="zz"), "a checksum is none"),
    "no predicate": (lambda s: s.pop("predicate"), "no statement"),
}


@pytest.mark.parametrize("how", STATEMENTS)
def test_a_signed_statement_of_another_kind_does_not_count(model: Path, pair: Pair, how: str) -> None:
    change, reason = STATEMENTS[how]
    signature = signing.parse(resigned(signed(model, pair), pair, change))
    with pytest.raises(SignatureError, match=reason):
        signing.verify(signature, pem=pair.pem, files=DIGESTS)


def test_a_changed_statement_or_another_key_does_not_count(model: Path, pair: Pair, tmp_path: Path) -> None:
    signature = signing.parse(signed(model, pair))
    changed = signing.Signature(
        payload=signature.payload.replace(b"weights", b"weightz"), signature=signature.signature, key=signature.key
    )
    other = Pair(tmp_path / "other")
    for one, pem in ((changed, pair.pem), (signature, other.pem)):
        with pytest.raises(SignatureError, match="not this key's"):
            signing.verify(one, pem=pem, files=DIGESTS)


@given(
    st.text(max_size=200) | st.recursive(st.none() | st.text(), lambda s: st.dictionaries(st.text(), s)).map(json.dumps)
)
def test_nonsense_is_no_signature_and_no_key(text: str) -> None:
    with pytest.raises(SignatureError):
        signing.parse(text)
    with pytest.raises(SignatureError):
        signing.public_key(text)


def test_keys_of_other_kinds_are_refused(registry: Registry) -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert "P-256" in refused(
        "invalid_parameter_value", registry.signing_keys.add, "acme", by="root", name="k", pem=pem
    )


@pytest.fixture(name="bert")
def _bert(registry: Registry) -> Registry:
    """A registry with one version that consists of `FILES`, and an alias that takes signatures."""
    registry.models.create("acme", "bert", by="ana")
    for path, content in FILES.items():
        upload(registry, f"m/1/{path}", content)
    register(registry, "m/1")
    registry.policies.put("acme", "prod", by="root", require=[Requirement.SIGNED])
    return registry


def opens(registry: Registry) -> bool:
    try:
        registry.aliases.set("acme", "bert", "prod", 1, by="ana")
    except Problem as problem:
        assert problem.extensions == {"missing": {"signed": "no registered key has signed it"}}  # noqa: PT017
        return False
    registry.aliases.delete("acme", "bert", "prod", by="ana")
    return True


def test_the_gate_opens_for_a_signature_of_a_registered_key_until_the_key_is_removed(
    bert: Registry, model: Path, pair: Pair
) -> None:
    bundle = signed(model, pair)
    assert not opens(bert)
    assert "no key" in refused("signature_invalid", bert.signatures.add, "acme", "bert", 1, by="ana", bundle=bundle)
    key = bert.signing_keys.add("acme", by="root", name="release", pem=pair.pem)
    added = bert.signatures.add("acme", "bert", 1, by="ana", bundle=bundle)
    assert (added.key, added.key_name, added.valid) == (key.id, "release", True)
    assert added.bundle == json.loads(bundle)
    assert opens(bert)
    bert.signing_keys.remove("acme", key.id, by="root")
    assert not opens(bert)
    assert [one.valid for one in bert.signatures.all("acme", "bert", 1)] == [False]
    assert [entry.action for entry in bert.trails.of_tenant("acme").entries][1:] == ["key.added", "key.removed"]
    assert "version.signed" in [entry.action for entry in bert.trails.of_model("acme", "bert").entries]


def test_a_signature_over_other_files_or_another_tenants_key_is_refused(
    bert: Registry, model: Path, pair: Pair
) -> None:
    bert.signing_keys.add("other", by="root", name="release", pem=pair.pem)
    bundle = signed(model, pair)
    assert "no key" in refused("signature_invalid", bert.signatures.add, "acme", "bert", 1, by="ana", bundle=bundle)
    bert.signing_keys.add("acme", by="root", name="release", pem=pair.pem)
    (model / "weights.bin").write_bytes(b"evil")
    bundle = signed(model, pair)
    detail = refused("signature_invalid", bert.signatures.add, "acme", "bert", 1, by="ana", bundle=bundle)
    assert "'weights.bin' is not the file that was signed" in detail
    assert not opens(bert)
    assert "no Sigstore bundle" in refused(
        "invalid_parameter_value", bert.signatures.add, "acme", "bert", 1, by="ana", bundle="{}"
    )


def test_a_signature_that_somebody_put_into_the_table_does_not_open_the_gate(
    bert: Registry, model: Path, pair: Pair, dynamodb: Any, tmp_path: Path
) -> None:
    bert.signing_keys.add("acme", by="root", name="release", pem=pair.pem)
    bert.signatures.add("acme", "bert", 1, by="ana", bundle=signed(model, pair))
    scan = dynamodb.scan(TableName=TABLE)["Items"]
    (item,) = (i for i in scan if i["sk"]["S"].startswith("signature#"))
    assert opens(bert)
    forged = Pair(tmp_path / "forger").key.sign(b"anything", ec.ECDSA(SHA256()))
    with past_the_registry(dynamodb):
        dynamodb.put_item(TableName=TABLE, Item=item | {"signature": {"B": forged}})
    assert not opens(bert)


def test_no_file_hides_behind_another_one_that_was_signed(
    bert: Registry, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier release let it: a file that is a folder as well, in which another one has its name."""
    monkeypatch.setattr("anfl.registry.frozen.refuse_two_in_one", lambda _: None)
    upload(bert, "m/2/x", b"evil")
    upload(bert, "m/2/x/x", b"signed")
    number = register(bert, "m/2/x")
    bert.signing_keys.add("acme", by="root", name="release", pem=pair.pem)
    (tmp_path / "signed").mkdir()
    (tmp_path / "signed" / "x").write_bytes(b"signed")
    bundle = signed(tmp_path / "signed", pair)
    detail = refused("signature_invalid", bert.signatures.add, "acme", "bert", number, by="ana", bundle=bundle)
    assert "two of its files have one name" in detail


def test_the_api_takes_keys_and_signatures(bert: Registry, model: Path, pair: Pair) -> None:
    call = Caller(assemble(bert, verifier=TenantInToken()))
    path, body = "/v1/models/bert/versions/1/signatures", {"bundle": signed(model, pair)}
    refusal = call("POST", path, body, token="acme.registrar")
    assert (refusal.status_code, refusal.json()["code"]) == (409, "signature_invalid")
    key = {"name": "release", "public_key": pair.pem}
    assert call("POST", "/v1/models-keys", key, token="acme.registrar").status_code == 403
    added = call("POST", "/v1/models-keys", key)
    assert added.status_code == 201
    assert call("POST", "/v1/models-keys", key | {"public_key": "x"}).status_code == 400
    assert call("POST", path, body, token="acme.registrar").status_code == 201
    listed = call("GET", path, token="acme.reader").json()["signatures"]
    assert [(one["key_name"], one["valid"]) for one in listed] == [("release", True)]
    assert call("GET", "/v1/models-keys", token="acme.reader").json()["keys"] == [added.json()]
    assert call("DELETE", f"/v1/models-keys/{added.json()['id']}", {}).status_code == 204
    assert call("DELETE", f"/v1/models-keys/{added.json()['id']}", {}).status_code == 404
