"""The transit engine through hvac: what is sealed opens, and only under the same conditions."""

import base64
from typing import Any

import hvac
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def transit(root: hvac.Client) -> Any:
    root.sys.enable_secrets_engine("transit")
    return root.secrets.transit


@pytest.mark.parametrize("plaintext", ["", "x", "ä" * 1000])
def test_round_trip(transit: Any, plaintext: str) -> None:
    transit.create_key("k")
    sealed = transit.encrypt_data("k", encoded(plaintext))["data"]

    assert sealed["key_version"] == 1
    assert sealed["ciphertext"].startswith("vault:v1:")
    assert sealed["ciphertext"] != transit.encrypt_data("k", encoded(plaintext))["data"]["ciphertext"]
    assert transit.decrypt_data("k", sealed["ciphertext"])["data"]["plaintext"] == encoded(plaintext)


def test_associated_data_binds(transit: Any) -> None:
    transit.create_key("k")
    sealed = transit.encrypt_data("k", encoded("x"), associated_data=encoded("here"))["data"]["ciphertext"]

    opened = transit.decrypt_data("k", sealed, associated_data=encoded("here"))
    assert opened["data"]["plaintext"] == encoded("x")
    for elsewhere in (encoded("there"), None):
        with pytest.raises(InvalidRequest, match="message authentication failed"):
            transit.decrypt_data("k", sealed, associated_data=elsewhere)


def test_derived_key_needs_its_context(transit: Any) -> None:
    transit.create_key("k", derived=True)
    sealed = transit.encrypt_data("k", encoded("x"), context=encoded("tenant-a"))["data"]["ciphertext"]

    assert transit.decrypt_data("k", sealed, context=encoded("tenant-a"))["data"]["plaintext"] == encoded("x")
    with pytest.raises(InvalidRequest, match="message authentication failed"):
        transit.decrypt_data("k", sealed, context=encoded("tenant-b"))
    with pytest.raises(InvalidRequest, match="missing 'context'"):
        transit.encrypt_data("k", encoded("x"))


def test_convergent_key_gives_equal_ciphertexts(transit: Any) -> None:
    transit.create_key("k", derived=True, convergent_encryption=True)

    one, two = (transit.encrypt_data("k", encoded("x"), context=encoded("c"))["data"]["ciphertext"] for _ in "12")

    assert one == two
    assert transit.decrypt_data("k", one, context=encoded("c"))["data"]["plaintext"] == encoded("x")


def test_rotation_rewrap_and_retirement(transit: Any) -> None:
    transit.create_key("k")
    old = transit.encrypt_data("k", encoded("x"))["data"]["ciphertext"]
    assert transit.rotate_key("k")["data"]["latest_version"] == 2

    new = transit.rewrap_data("k", old)["data"]
    assert new["key_version"] == 2
    assert transit.encrypt_data("k", encoded("x"), key_version=1)["data"]["key_version"] == 1
    transit.update_key_configuration("k", min_decryption_version=2)

    assert sorted(transit.read_key("k")["data"]["keys"]) == ["2"]
    assert transit.decrypt_data("k", new["ciphertext"])["data"]["plaintext"] == encoded("x")
    with pytest.raises(InvalidRequest, match="too old"):
        transit.decrypt_data("k", old)
    transit.update_key_configuration("k", min_decryption_version=1)
    assert transit.decrypt_data("k", old)["data"]["plaintext"] == encoded("x")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"min_decryption_version": 3}, "latest key version is 2"),
        ({"min_encryption_version": 3}, "latest key version is 2"),
        ({"min_encryption_version": 1, "min_decryption_version": 2}, "greater than or equal"),
        ({"auto_rotate_period": "1m"}, "at least an hour"),
    ],
)
def test_impossible_configuration(transit: Any, root: hvac.Client, settings: dict[str, Any], reason: str) -> None:
    transit.create_key("k")
    transit.rotate_key("k")

    with pytest.raises(InvalidRequest, match=reason):
        root.adapter.post("/v1/transit/keys/k/config", json=settings)


@pytest.mark.parametrize(
    ("ciphertext", "reason"),
    [
        ("", "missing ciphertext"),
        ("x", "no prefix"),
        ("vault:v1", "wrong number of fields"),
        ("vault:vx:AAAA", "version number could not be decoded"),
        ("vault:v9:AAAA", "version is too new"),
        ("vault:v1:?", "could not decode base64"),
        ("vault:v1:AAAA", "invalid ciphertext length"),
        ("vault:v1:" + "A" * 64, "message authentication failed"),
    ],
)
def test_malformed_ciphertext(transit: Any, ciphertext: str, reason: str) -> None:
    transit.create_key("k")

    with pytest.raises(InvalidRequest, match=reason):
        transit.decrypt_data("k", ciphertext)


def test_batches_answer_in_order_with_an_error_each(transit: Any) -> None:
    transit.create_key("k")
    items = [{"plaintext": encoded(text), "reference": text} for text in ("a", "b", "c")]
    sealed = transit.encrypt_data("k", batch_input=items)["data"]["batch_results"]
    assert [one["reference"] for one in sealed] == ["a", "b", "c"]

    opened = transit.decrypt_data("k", batch_input=[{"ciphertext": one["ciphertext"]} for one in sealed])
    assert [one["plaintext"] for one in opened["data"]["batch_results"]] == [encoded(t) for t in ("a", "b", "c")]

    with pytest.raises(InvalidRequest) as caught:
        transit.decrypt_data("k", batch_input=[{"ciphertext": sealed[0]["ciphertext"]}, {"ciphertext": "x"}])
    results = caught.value.json["data"]["batch_results"]
    assert results[0]["plaintext"] == encoded("a")
    assert results[1] == {"plaintext": "", "error": "invalid ciphertext: no prefix", "reference": ""}
    with pytest.raises(InvalidRequest, match="missing batch input"):
        transit.encrypt_data("k", batch_input=[])


def test_a_batch_that_fails_in_part_has_the_status_that_was_asked_for(root: hvac.Client, transit: Any) -> None:
    transit.create_key("k")
    good = transit.encrypt_data("k", encoded("x"))["data"]["ciphertext"]
    items = [{"ciphertext": good}, {"ciphertext": "x"}]

    answer = root.adapter.post(
        "/v1/transit/decrypt/k", json={"batch_input": items, "partial_failure_response_code": 200}
    )
    assert [one.get("error") for one in answer["data"]["batch_results"]] == [None, "invalid ciphertext: no prefix"]
    with pytest.raises(InvalidRequest):  # where none succeeds, it is no part
        root.adapter.post(
            "/v1/transit/decrypt/k", json={"batch_input": items[1:], "partial_failure_response_code": 200}
        )
    moved = root.adapter.post("/v1/transit/rewrap/k", json={"batch_input": items})["data"]["batch_results"]
    assert moved[0]["ciphertext"].startswith("vault:v1:")
    assert moved[1]["error"] == "invalid ciphertext: no prefix"


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([{"plaintext": "eA==", "context": "YQ=="}, {"plaintext": "eA=="}], "in all the request blocks or in none"),
        ([{"context": "YQ=="}], "failed to parse batch input"),
        ([{"plaintext": 1}], "failed to parse batch input"),
        (["eA=="], "failed to parse batch input"),
        ("eA==", "failed to parse batch input"),
    ],
)
def test_a_batch_that_is_ill_formed_fails_as_a_whole(root: hvac.Client, transit: Any, items: Any, reason: str) -> None:
    transit.create_key("k", derived=True)

    with pytest.raises(InvalidRequest, match=reason):
        root.adapter.post("/v1/transit/encrypt/k", json={"batch_input": items})


def test_a_version_that_must_not_seal_any_more_is_refused(transit: Any) -> None:
    transit.create_key("k")
    transit.rotate_key("k")
    transit.update_key_configuration("k", min_encryption_version=2)

    for version, reason in ((1, "less than the minimum"), (3, "higher than the latest"), (-1, "negative")):
        with pytest.raises(InvalidRequest, match=reason):
            transit.encrypt_data("k", encoded("x"), key_version=version)
    assert transit.encrypt_data("k", encoded("x"), key_version=2)["data"]["key_version"] == 2


def test_encrypting_makes_no_key_where_that_is_forbidden(root: hvac.Client, transit: Any) -> None:
    root.adapter.post("/v1/transit/config/keys", json={"disable_upsert": True})
    assert root.adapter.get("/v1/transit/config/keys")["data"] == {"disable_upsert": True}

    with pytest.raises(InvalidRequest, match="encryption key not found"):
        transit.encrypt_data("new", encoded("x"))
    with pytest.raises(InvalidPath):
        transit.read_key("new")


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_data_keys(transit: Any, bits: int) -> None:
    transit.create_key("k")

    both = transit.generate_data_key("k", key_type="plaintext", bits=bits)["data"]
    wrapped = transit.generate_data_key("k", key_type="wrapped", bits=bits)["data"]

    assert len(base64.b64decode(both["plaintext"])) * 8 == bits
    assert transit.decrypt_data("k", both["ciphertext"])["data"]["plaintext"] == both["plaintext"]
    assert "plaintext" not in wrapped
    assert len(base64.b64decode(transit.decrypt_data("k", wrapped["ciphertext"])["data"]["plaintext"])) * 8 == bits


def test_upsert_needs_create(transit: Any, holder: Any) -> None:
    updating = holder('path "transit/encrypt/*" { capabilities = ["update"] }').secrets.transit
    with pytest.raises(Forbidden):
        updating.encrypt_data("new", encoded("x"))
    transit.create_key("there")
    assert updating.encrypt_data("there", encoded("x"))["data"]["key_version"] == 1

    creating = holder('path "transit/encrypt/*" { capabilities = ["create", "update"] }').secrets.transit
    assert creating.encrypt_data("new", encoded("x"))["data"]["key_version"] == 1
    assert transit.read_key("new")["data"]["type"] == "aes256-gcm96"


def test_ecdsa_signatures_verify_outside_vault(transit: Any) -> None:
    transit.create_key("k", key_type="ecdsa-p256")
    transit.rotate_key("k")
    pem = transit.read_key("k")["data"]["keys"]["2"]["public_key"]
    public = load_pem_public_key(pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)

    asn1 = transit.sign_data("k", encoded("message"), hash_algorithm="sha2-256")["data"]["signature"]
    jws = transit.sign_data("k", encoded("message"), hash_algorithm="sha2-256", marshaling_algorithm="jws")["data"]

    public.verify(base64.b64decode(asn1.removeprefix("vault:v2:")), b"message", ec.ECDSA(hashes.SHA256()))
    raw = base64.urlsafe_b64decode(jws["signature"].removeprefix("vault:v2:") + "==")
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(der, b"message", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(der, b"another", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
@pytest.mark.parametrize("marshaling", ["asn1", "jws"])
def test_signatures_verify_in_vault(transit: Any, key_type: str, marshaling: str) -> None:
    transit.create_key("k", key_type=key_type)
    options = {"hash_algorithm": "sha2-256", "marshaling_algorithm": marshaling}
    signature = transit.sign_data("k", encoded("message"), **options)["data"]["signature"]

    good = transit.verify_signed_data("k", encoded("message"), signature=signature, **options)
    bad = transit.verify_signed_data("k", encoded("another"), signature=signature, **options)

    assert good["data"]["valid"] is True
    assert bad["data"]["valid"] is False


def test_ed25519_public_key_is_raw(transit: Any) -> None:
    transit.create_key("k", key_type="ed25519")
    public = base64.b64decode(transit.read_key("k")["data"]["keys"]["1"]["public_key"])
    signature = transit.sign_data("k", encoded("m"))["data"]["signature"].removeprefix("vault:v1:")

    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature), b"m")


def test_a_key_serves_its_purpose_only(transit: Any) -> None:
    transit.create_key("aes")
    transit.create_key("ec", key_type="ecdsa-p256")

    with pytest.raises(InvalidRequest, match="does not support signing"):
        transit.sign_data("aes", encoded("x"))
    with pytest.raises(InvalidRequest, match="not supported for key type"):
        transit.encrypt_data("ec", encoded("x"))


def test_key_administration(transit: Any) -> None:
    with pytest.raises(InvalidPath):
        transit.list_keys()
    transit.create_key("k")
    assert "already existed" in transit.create_key("k", key_type="ed25519")["warnings"][0]
    assert transit.read_key("k")["data"]["type"] == "aes256-gcm96"
    assert transit.list_keys()["data"]["keys"] == ["k"]
    with pytest.raises(InvalidRequest, match="deletion is not allowed"):
        transit.delete_key("k")

    transit.update_key_configuration("k", deletion_allowed=True)
    transit.delete_key("k")

    with pytest.raises(InvalidPath):
        transit.read_key("k")
    with pytest.raises(InvalidRequest, match="key not found"):
        transit.rotate_key("k")
