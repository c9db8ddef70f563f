"""Delegation as a real name server on loopback tells it."""

import socket
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from deployment.preflight import zones
from deployment.preflight.delegation import Delegation, DnsError, PublicDns
from deployment.preflight.results import Outcome
from tests.unit.deployment.conftest import Assemble, Recorded, resource
from tests.unit.deployment.test_readiness import outcome

Records = dict[tuple[str, str], list[str]]
PARENT: Records = {
    ("test.", "SOA"): ["ns.test. admin.test. 1 3600 600 86400 60"],
    ("test.", "NS"): ["ns.test."],
    ("ns.test.", "A"): ["127.0.0.1"],
}
OURS = frozenset({"ns-1.awsdns-00.com", "ns-2.awsdns-01.net"})


class NameServer(threading.Thread):
    """Answers as a resolver where recursion is asked for, and else as the parent's own server: with a referral."""

    def __init__(self, records: Records, *, answers: bool = True) -> None:
        super().__init__(daemon=True)
        self._records = records
        self._answers = answers
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                wire, asker = self._socket.recvfrom(4096)
            except OSError:
                return
            question = dns.message.from_wire(wire)
            recursive = bool(question.flags & dns.flags.RD)
            if recursive or self._answers:
                self._socket.sendto(self._answer(question, recursive=recursive).to_wire(), asker)

    def _answer(self, question: dns.message.Message, *, recursive: bool) -> dns.message.Message:
        answer = dns.message.make_response(question)
        name = str(question.question[0].name)
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        found = [(kind, records) for (owner, of), records in self._records.items() if (owner, of) == (name, kind)]
        if not recursive:
            found += [("DS", records) for (owner, of), records in self._records.items() if (owner, of) == (name, "DS")]
        section = answer.answer if recursive else answer.authority
        for of, records in found:
            section.append(dns.rrset.from_text(name, 60, "IN", of, *records))
        if not found and not any(owner.endswith(name) for owner, _ in self._records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def stop(self) -> None:
        """End it."""
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., PublicDns]]:
    """A public DNS of the given records."""
    servers = []

    def start(records: Records, *, answers: bool = True) -> PublicDns:
        server = NameServer(records, answers=answers)
        server.start()
        servers.append(server)
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = server.port
        return PublicDns(resolver=resolver, port=server.port)

    yield start
    for server in servers:
        server.stop()


Serve = Callable[..., PublicDns]


def test_the_parent_is_asked_and_its_referral_is_read(serve: Serve) -> None:
    public = serve(PARENT | {("example.test.", "NS"): ["NS-1.awsdns-00.com.", "ns-2.awsdns-01.net."]})
    assert public.delegations("example.test") == {"ns.test": Delegation(servers=OURS, signed=False)}


def test_a_signed_delegation_is_told(serve: Serve) -> None:
    records = {("example.test.", "NS"): ["ns-1.awsdns-00.com."], ("example.test.", "DS"): ["1 13 2 " + "ab" * 32]}
    assert serve(PARENT | records).delegations("example.test")["ns.test"].signed


def test_a_zone_that_nobody_delegated(serve: Serve) -> None:
    assert serve(PARENT).delegations("example.test") == {"ns.test": Delegation(servers=frozenset(), signed=False)}


def test_a_parent_that_cannot_be_found(serve: Serve) -> None:
    with pytest.raises(DnsError):
        serve({}).delegations("example.test")


def test_a_parent_without_servers_that_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployment.preflight.delegation._TIMEOUT", 0.2)
    with pytest.raises(DnsError, match="none of the name servers"):
        serve(PARENT, answers=False).delegations("example.test")


@pytest.mark.parametrize(
    ("owner", "record", "expected"),
    [
        ("lib.example.test.", '0 issue "amazon.com"', Outcome.OK),
        ("example.test.", '0 issue "amazonaws.com; account=1"', Outcome.OK),
        ("example.test.", '0 issue "letsencrypt.org"', Outcome.FAILED),
        ("example.test.", '0 iodef "mailto:a@example.test"', Outcome.OK),
        ("example.test.", '0 issue ";"', Outcome.FAILED),
    ],
)
def test_who_may_issue_certificates(serve: Serve, owner: str, record: str, expected: Outcome) -> None:
    assert outcome(zones.issuable(serve(PARENT | {(owner, "CAA"): [record]}), "lib.example.test")) is expected


def test_a_resolver_without_the_public_names_is_no_good_news(serve: Serve) -> None:
    assert outcome(zones.issuable(serve({}), "lib.example.test")) is Outcome.NOT_CHECKED


def _said(*servers: str, signed: bool = False) -> Delegation:
    return Delegation(servers=frozenset(servers), signed=signed)


@pytest.mark.parametrize(
    ("said", "expected", "words"),
    [
        ({"a": _said(*OURS), "b": _said(*OURS)}, Outcome.OK, "is delegated"),
        ({"a": _said(), "b": _said()}, Outcome.FAILED, "is not delegated"),
        ({"a": _said("ns.registrar.example")}, Outcome.FAILED, "is delegated to ns.registrar.example"),
        ({"a": _said("ns-1.awsdns-00.com")}, Outcome.FAILED, "is delegated to"),
        ({"a": _said(*OURS), "b": _said()}, Outcome.FAILED, "b does not say so yet"),
        ({"a": _said(*OURS, signed=True)}, Outcome.FAILED, "signed"),
    ],
)
def test_the_parent_against_the_hosted_zone(said: dict[str, Delegation], expected: Outcome, words: str) -> None:
    verdict = zones.compare("example.test", OURS, said)
    assert outcome(verdict) is expected
    assert words in verdict.found


@pytest.mark.parametrize(
    ("case", "expected"),
    [("stands", Outcome.OK), ("no-stack", Outcome.FAILED), ("not-made-yet", Outcome.FAILED)],
)
def test_the_hosted_zone_is_that_of_the_stack(
    recorded: Recorded, assemble: Assemble, serve: Serve, case: str, expected: Outcome
) -> None:
    zone = resource("AWS::Route53::HostedZone", Name="example.test")
    private = resource("AWS::Route53::HostedZone", Name="vault.internal.test", VPCs=[{"VPCId": "vpc-1"}])
    stack = {"region": "us-east-1", "resources": {"Zone": zone, "Private": private}}
    rollout = assemble({"anfl-prod-global-dns": stack})
    public = serve(PARENT | {("example.test.", "NS"): [f"{name}." for name in OURS]})
    (check,) = zones.checks(recorded(f"hosted/{case}"), rollout, public)
    assert check.id == "dns.example.test"
    assert outcome(check.look()) is expected
