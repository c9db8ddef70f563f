"""The machines and the secret, against moto; how a node is called by its address under the cluster's name."""

import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from anfl.auth.vault import session
from anfl.auth.vault_bootstrap import BootstrapError, Recovery
from anfl.auth.vault_nodes import Ec2Nodes, SecretRecoveryStore
from anfl.resources import VAULT_TAG
from tests.unit.auth.conftest import REGION

NAME = "vault.us-west-1.example.test"
IMAGE = "ami-12c6146b"
"""One that moto has: to list all of them takes it seconds."""


def client(service: Any, endpoint: str) -> Any:
    made = boto3.session.Session(aws_access_key_id="t", aws_secret_access_key="t", region_name=REGION)
    return made.client(service, endpoint_url=endpoint)


def launch(ec2: Any, cluster: str) -> dict[str, Any]:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": VAULT_TAG, "Value": cluster}]}]
    found: dict[str, Any] = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, TagSpecifications=tags)
    instance: dict[str, Any] = found["Instances"][0]
    return instance


class Ssm:
    """Commands that end as a test says; moto's always succeed at once."""

    class exceptions:  # noqa: N801 - as boto3 names it
        class InvocationDoesNotExist(Exception):  # noqa: N818 - as boto3 names it
            pass

    def __init__(self, *answers: str) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self._answers = list(answers)

    def send_command(self, **given: Any) -> Any:
        self.sent.append((given["Parameters"]["Step"][0], given["InstanceIds"]))
        assert given["DocumentName"] == "wipe"
        return {"Command": {"CommandId": str(len(self.sent))}}

    def get_command_invocation(self, **_: Any) -> Any:
        answer = self._answers.pop(0) if self._answers else "Success"
        if answer == "unknown":
            raise self.exceptions.InvocationDoesNotExist
        return {"Status": answer}


def nodes(endpoint: str, ssm: Any, cluster: str) -> Ec2Nodes:
    return Ec2Nodes(
        ec2=client("ec2", endpoint), ssm=ssm, cluster=cluster, wipe_document="wipe", pause=lambda _seconds: None
    )


def test_nodes_are_the_running_instances_of_the_cluster(aws_endpoint: str) -> None:
    ec2 = client("ec2", aws_endpoint)
    ours = [launch(ec2, "one") for _ in range(3)]
    launch(ec2, "another")
    ec2.stop_instances(InstanceIds=[ours[0]["InstanceId"]])

    found = nodes(aws_endpoint, Ssm(), "one").addresses()

    expected = sorted(ours[1:], key=lambda instance: str(instance["InstanceId"]))
    assert list(found) == [f"https://{instance['PrivateIpAddress']}:8200" for instance in expected]


def test_every_node_is_emptied_before_one_starts_again(aws_endpoint: str) -> None:
    ec2 = client("ec2", aws_endpoint)
    ours = sorted(str(launch(ec2, "wiped")["InstanceId"]) for _ in range(2))
    ssm = Ssm("unknown", "InProgress", "Success", "Success")

    nodes(aws_endpoint, ssm, "wiped").wipe()

    assert ssm.sent == [("empty", ours), ("start", ours)]


def test_a_node_that_cannot_be_emptied_keeps_all_from_starting(aws_endpoint: str) -> None:
    ec2 = client("ec2", aws_endpoint)
    launch(ec2, "stubborn")
    ssm = Ssm("Failed")

    with pytest.raises(BootstrapError, match="did not empty its storage: Failed"):
        nodes(aws_endpoint, ssm, "stubborn").wipe()
    assert [step for step, _ in ssm.sent] == ["empty"]


def test_the_record(aws_endpoint: str) -> None:
    secrets = client("secretsmanager", aws_endpoint)
    secret = secrets.create_secret(Name="recovery")["ARN"]
    store = SecretRecoveryStore(client=secrets, secret=secret)
    assert store.read() is None

    store.write(Recovery(recovery_keys=("key",), root_token="root"))
    assert store.read() == Recovery(recovery_keys=("key",), root_token="root")

    store.write(Recovery(recovery_keys=("key",)))
    assert store.read() == Recovery(recovery_keys=("key",))


class Answers(BaseHTTPRequestHandler):
    """Says yes."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Nothing to say."""


def certificate(folder: Path) -> Path:
    """A self-signed certificate and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + pem)
    return file


@contextmanager
def https(file: Path, *, at_most: ssl.TLSVersion) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = at_most
    context.load_cert_chain(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path)


def test_a_node_called_by_its_address_must_prove_the_clusters_name(pem: Path) -> None:
    with https(pem, at_most=ssl.TLSVersion.TLSv1_3) as url:
        named = session(NAME)
        named.verify = str(pem)
        assert named.get(url, timeout=5).status_code == 204
        for wrong in (session("vault.eu-west-1.example.test"), session()):
            wrong.verify = str(pem)
            with pytest.raises(requests.exceptions.SSLError):
                wrong.get(url, timeout=5)


def test_tls_1_2_is_not_spoken_with_vault(pem: Path) -> None:
    with https(pem, at_most=ssl.TLSVersion.TLSv1_2) as url:
        named = session(NAME)
        named.verify = str(pem)
        with pytest.raises(requests.exceptions.SSLError, match="PROTOCOL_VERSION"):
            named.get(url, timeout=5)
