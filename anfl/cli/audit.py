"""``anfl models audit``: show what was changed by whom, and verify that nobody changed the telling."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, print_json, print_table
from anfl.cli.paging import pages
from anfl.cli.target import resolve
from anfl.client import Client
from anfl.registry.audit import Broken, Entry, Head, verify
from anfl.registry.trails import Chains, Page
from anfl.wording import counted

app = typer.Typer(no_args_is_help=True, help="The audit of the model registry.")

_TENANT = "/v1/models-audit"
_PER_PAGE = 1000
_PAUSES = (1.0, 3.0, 6.0)
"""Seconds between looks for an entry that is missing: in another region than the registry's home a record may come
before the entry that it names."""
_WHAT_NOW = (
    "The registry's table was changed past the registry, or has lost something. Write down what stands above, and"
    " compare the table with a copy of it as it was before: point-in-time recovery restores one."
)


class _Chain(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    path: str
    model_id: str | None = None


class _Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one chain; ``head`` can be noted, and asked for again with ``--head``."""

    label: str
    chain: str
    entries: int
    head: str
    broken: Broken | None


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="Name of a model, also a former one; without: webhooks.")] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Who changed what, in order."""
    with resolve(endpoint, token, role=role).connect() as client:
        entries = [entry for page in _pages(client, _named(name)) for entry in page.entries]
    if as_json:
        print_json({"entries": msgspec.to_builtins(entries)})
        return
    rows = [
        {"#": entry.sequence, "at": _moment(entry.at)}
        | {name: getattr(entry, name) for name in ("by", "action", "version", "before", "after")}
        for entry in entries
    ]
    print_table(rows, ["#", "at", "by", "action", "version", "before", "after"], empty="No entries yet.")


@app.command("verify")
def verify_chains(
    name: Annotated[str | None, typer.Argument(help="Name of a model; without: all that there ever were.")] = None,
    head: Annotated[
        str | None, typer.Option(help="NUMBER:HASH that an earlier run printed: the chain must still hold it.")
    ] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Compute each chain anew; exit code 1 where one does not hold, naming its first broken link."""
    if head is not None and name is None:
        raise CliError("--head is about one model: name it.", exit_code=ExitCode.USAGE)
    expected = None if head is None else _noted(head)
    with resolve(endpoint, token, role=role).connect() as client:
        chains = _all(client) if name is None else [_named(name)]
        verified = [_verified(client, chain, expected) for chain in chains]
        for pause in _PAUSES:
            if not any(map(_lacks_one, verified)):
                break
            time.sleep(pause)
            pairs = zip(chains, verified, strict=True)
            verified = [_verified(client, chain, expected) if _lacks_one(one) else one for chain, one in pairs]
    if as_json:
        print_json({"chains": msgspec.to_builtins(verified)})
    else:
        for one in verified:
            _print(one)
    if any(one.broken for one in verified):
        errors.print(_WHAT_NOW)
        raise typer.Exit(ExitCode.FAILED)


def _verified(client: Client, chain: _Chain, expected: Head | None) -> _Verified:
    pages = _pages(client, chain)
    first = next(pages)
    last = Head()

    def entries() -> Iterator[Entry]:
        nonlocal last
        for page in (first, *pages):
            for entry in page.entries:
                yield entry
                last = Head(sequence=entry.sequence, hash=entry.hash)

    broken = verify(chain.model_id or first.chain, entries(), first.head, expected=expected)
    head = f"{last.sequence}:{last.hash}"
    return _Verified(label=chain.label, chain=first.chain, entries=last.sequence, head=head, broken=broken)


def _lacks_one(one: _Verified) -> bool:
    return one.broken is not None and one.broken.is_missing


def _print(one: _Verified) -> None:
    if one.broken is None:
        console.print(f"{one.label}: holds, {counted(one.entries, 'entry', 'entries')}; head {one.head}")
    else:
        console.print(f"{one.label}: BROKEN at entry {one.broken.sequence}: {one.broken.reason}")


def _all(client: Client) -> list[_Chain]:
    answers = pages(client, f"{_TENANT}/chains", {"limit": _PER_PAGE})
    bearers = [bearer for answer in answers for bearer in msgspec.convert(answer, Chains).models]
    bearers.sort(key=lambda bearer: (bearer.since, bearer.id))
    latest = {bearer.id: bearer.name for bearer in bearers}  # of its names, a model is told by the last
    return [_named(None), *(_named(name, model_id=model_id) for model_id, name in latest.items())]


def _named(name: str | None, *, model_id: str | None = None) -> _Chain:
    if name is None:
        return _Chain(label="(no single model)", path=_TENANT)
    return _Chain(label=name, path=f"/v1/models/{quote(name, safe='')}/audit", model_id=model_id)


def _pages(client: Client, chain: _Chain) -> Iterator[Page]:
    parameters: dict[str, Any] = {"limit": _PER_PAGE}
    if chain.model_id is not None:
        parameters["model_id"] = chain.model_id
    return (msgspec.convert(answer, Page) for answer in pages(client, chain.path, parameters))


def _noted(text: str) -> Head:
    number, colon, digest = text.partition(":")
    if not colon or not (number.isascii() and number.isdigit()):
        raise CliError("--head takes NUMBER:HASH, as `verify` prints it.", exit_code=ExitCode.USAGE)
    return Head(sequence=int(number), hash=digest)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
