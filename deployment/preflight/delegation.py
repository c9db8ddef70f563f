"""What the public DNS says about a zone, asked of its parent's own name servers: nothing remembered by a resolver."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
import dns.rrset

_TIMEOUT = 4.0
"""Seconds for one question to one server."""
_LIFETIME = 10.0
"""Seconds for one question to the resolver, repetitions included."""
_SERVERS = 4
"""Of the parent's, at most: they say the same, and a top-level domain has thirteen."""


class DnsError(Exception):
    """The public DNS could not be asked."""


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What one of the parent's servers says."""

    servers: frozenset[str]
    """Names of the zone's name servers, in lower case and without the last dot; empty: not delegated."""
    signed: bool
    """Whether the parent announces that the zone is signed (DNSSEC)."""


class PublicDns:
    """The DNS as everybody sees it."""

    def __init__(self, *, resolver: dns.resolver.Resolver | None = None, port: int = 53) -> None:
        """:param resolver: the machine's own where none is given. :param port: of the parent's name servers."""
        self._given = resolver
        self._port = port

    def delegations(self, zone: str) -> Mapping[str, Delegation]:
        """By name server of the parent of ``zone``, what it says about ``zone``; servers that are silent are left out.

        :raises DnsError: the parent cannot be found, or none of its servers answers.
        """
        name = dns.name.from_text(zone)
        try:
            parent = dns.resolver.zone_for_name(name.parent(), resolver=self._resolver)
            hosts = sorted(str(record.target) for record in self._resolver.resolve(parent, "NS"))
            addresses = self._addresses(hosts)
        except dns.exception.DNSException as error:
            raise DnsError(f"the name servers above {zone} cannot be found: {error}") from error
        found = {}
        for host, address in addresses:
            try:
                found[host.rstrip(".")] = self._ask(name, address)
            except (dns.exception.DNSException, OSError):
                continue
            if len(found) == _SERVERS:
                break
        if not found:
            raise DnsError(f"none of the name servers of {parent} answers")
        return found

    def issuers(self, name: str) -> frozenset[str]:
        """Who may issue certificates for ``name`` (RFC 8659: the nearest CAA records above it); empty: anybody.

        :raises DnsError: the resolver does not answer.
        """
        current = dns.name.from_text(name)
        while current != dns.name.root:
            try:
                records = self._resolver.resolve(current, "CAA")
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as error:
                if len(current) == 2 and isinstance(error, dns.resolver.NXDOMAIN):
                    raise DnsError(f"the resolver knows no {current}: it is not the public DNS") from error
                current = current.parent()
                continue
            except dns.exception.DNSException as error:
                raise DnsError(f"the resolver does not say who may issue certificates for {name}: {error}") from error
            allowed = [record.value.decode() for record in records if record.tag == b"issue"]
            return frozenset(value.partition(";")[0].strip() for value in allowed)
        return frozenset()

    @property
    def _resolver(self) -> dns.resolver.Resolver:
        resolver = self._given or dns.resolver.get_default_resolver()
        resolver.lifetime = _LIFETIME
        return resolver

    def _addresses(self, hosts: Sequence[str]) -> Iterator[tuple[str, str]]:
        for host in hosts:
            try:
                for record in self._resolver.resolve(host, "A"):
                    yield host, str(record.address)
            except dns.exception.DNSException:
                continue

    def _ask(self, zone: dns.name.Name, address: str) -> Delegation:
        question = dns.message.make_query(zone, "NS", want_dnssec=True)
        question.flags &= ~dns.flags.RD  # the server's own knowledge: a referral, or its answer
        answer, _ = dns.query.udp_with_fallback(question, address, timeout=_TIMEOUT, port=self._port)
        records = [*answer.answer, *answer.authority]
        return Delegation(
            servers=frozenset(_servers(records, zone)),
            signed=any(found.name == zone and found.rdtype == dns.rdatatype.DS for found in records),
        )


def _servers(records: Sequence[dns.rrset.RRset], zone: dns.name.Name) -> Iterator[str]:
    for found in records:
        if found.name == zone and found.rdtype == dns.rdatatype.NS:
            yield from (str(record.target).lower().rstrip(".") for record in found)
