"""Approvals: somebody asks that a version may have an alias, others agree or refuse.

A request is bound to the version's digest. Who asked cannot approve, and nobody counts twice. Each step raises the
model's revision as every change does, so two steps at once are decided one after the other.
"""

import uuid
from collections.abc import Callable, Iterator
from enum import StrEnum
from http import HTTPStatus
from itertools import groupby

import msgspec

from anfl.problems import Problem
from anfl.registry import keys, pages, rules
from anfl.registry.audit import Change
from anfl.registry.clock import Clock, now
from anfl.registry.entities import Model, Version
from anfl.registry.errors import does_not_exist
from anfl.registry.policies import Policies
from anfl.registry.records import Records
from anfl.registry.table import ABSENT, EXISTS, Check, Condition, Put

MAX_COMMENT_BYTES = 2000
MAX_REQUESTS = 100
"""Of one version."""
MAX_APPROVERS = 100
"""Of one request: who approve, and what they say, stands in one item."""
MOST_PER_PAGE = 1000


class ApprovalStatus(StrEnum):
    """State of a request."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    """As many have approved as the policy asked for when the last one did."""
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


OPEN = (ApprovalStatus.PENDING, ApprovalStatus.APPROVED)
"""What can still be decided: also an approval can be taken back, by rejecting."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said, at a moment (ms since the epoch)."""

    by: str
    at: int
    comment: str | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A request and what became of it."""

    id: str
    version: int
    alias: str
    digest: str
    """Of the version, when it was asked: an approval holds for exactly this."""
    requested: Decision
    approvals: tuple[Decision, ...] = ()
    ended: Decision | None = None
    """Rejection or withdrawal."""
    status: ApprovalStatus = ApprovalStatus.PENDING
    revision: int = 1


class ApprovalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a model, by version and then by time."""

    approvals: list[Approval]
    next_page_token: str | None = None
    """Gives the requests that follow; null where these are the last."""


class Approvals:
    """Approvals of all tenants' versions; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, records: Records, policies: Policies, *, clock: Clock = now) -> None:
        self._records = records
        self._table = records.table
        self._policies = policies
        self._clock = clock

    def request(
        self, tenant: str, name: str, number: int, *, by: str, alias: str, comment: str | None = None
    ) -> Approval:
        """Ask that a version may have an alias.

        :raises Problem: 404, 400, 409 where that was asked before and is still open.
        """
        rules.new_alias(alias)
        _check(comment)

        def attempt() -> Approval:
            found = self._records.version(tenant, name, number)
            there = self.of_version(tenant, found.model, number)
            if any(one.alias == alias and one.status in OPEN for one in there):
                raise _conflict("approval_open", f"An approval of version {number} for '{alias}' is open already.")
            if len(there) >= MAX_REQUESTS:
                raise _conflict("approval_limit", f"A version has at most {MAX_REQUESTS} approval requests.")
            asked = Decision(by=by, at=self._clock(), comment=comment)
            approval = Approval(
                id=f"{number}-{uuid.uuid4().hex}",
                version=number,
                alias=alias,
                digest=found.version.digest,
                requested=asked,
            )
            self._write(tenant, found.model, approval, before=None, action="approval.requested", by=asked)
            return approval

        return self._records.in_turn(tenant, name, attempt)

    def page(
        self,
        tenant: str,
        name: str,
        *,
        version: int | None = None,
        wanted: Callable[[Approval], bool] = lambda _: True,
        after: str | None = None,
        limit: int = MOST_PER_PAGE,
    ) -> ApprovalPage:
        """Requests of a model; a page also ends where it would be larger than the gateway lets pass.

        :param version: None: of all versions.
        :param wanted: those that are shown.
        :param after: token of the page before.
        :raises Problem: 404, 400.
        """
        pages.check_limit(limit, most=MOST_PER_PAGE)
        model = self._records.model(tenant, name)
        found = filter(wanted, self._in_order(tenant, model, version, after))
        shown, more = pages.taken(found, limit=limit, size=lambda one: len(msgspec.json.encode(one)))
        return ApprovalPage(approvals=shown, next_page_token=shown[-1].id if more else None)

    def _in_order(self, tenant: str, model: Model, version: int | None, after: str | None) -> Iterator[Approval]:
        """Those beyond the request ``after``; no more is read than is asked for, and those of a version are together.

        :raises Problem: 400, there is no such request.
        """
        begin = None if after is None else _number(after)
        if after is not None and (begin is None or version not in (None, begin)):
            raise pages.unknown_token()
        prefix = keys.APPROVALS + ("" if version is None else keys.approvals_of(version))
        edge = None if begin is None else keys.APPROVALS + keys.approvals_of(begin)  # before all of that version
        items = self._table.query(keys.belongings(tenant, model.id), prefix=prefix, after=edge)
        for _, group in groupby((msgspec.convert(item, Approval) for item in items), lambda one: one.version):
            together = sorted(group, key=_when)
            if after is not None:  # no request is ever removed, so the first group has it
                ids = [one.id for one in together]
                if after not in ids:
                    raise pages.unknown_token()
                together = together[ids.index(after) + 1 :]
                after = None
            yield from together
        if after is not None:
            raise pages.unknown_token()

    def of_version(self, tenant: str, model: Model, number: int) -> list[Approval]:
        """All requests of a version, by time."""
        prefix = keys.APPROVALS + keys.approvals_of(number)
        items = self._table.query(keys.belongings(tenant, model.id), prefix=prefix)
        return sorted((msgspec.convert(item, Approval) for item in items), key=_when)

    def get(self, tenant: str, name: str, approval_id: str) -> Approval:
        """One request.

        :raises Problem: 404, 400.
        """
        return self._read(tenant, self._records.model(tenant, name), approval_id)

    def approve(self, tenant: str, name: str, approval_id: str, *, by: str, comment: str | None = None) -> Approval:
        """Agree.

        :raises Problem: 404, 403 for who asked, 409 for who agreed before and for what is decided.
        """

        def agreed(before: Approval, decision: Decision) -> Approval:
            if by in {given.by for given in before.approvals}:
                raise _conflict("already_approved", f"{by} has approved this already; another person must.")
            if len(before.approvals) >= MAX_APPROVERS:
                raise _conflict("approval_limit", f"At most {MAX_APPROVERS} people approve one request.")
            approvals = (*before.approvals, decision)
            policy, _ = self._policies.applying(tenant, before.alias)
            status = ApprovalStatus.APPROVED if len(approvals) >= policy.approvals else before.status
            return msgspec.structs.replace(before, approvals=approvals, status=status)

        return self._decide(tenant, name, approval_id, agreed, by=by, comment=comment, action="approval.given")

    def reject(self, tenant: str, name: str, approval_id: str, *, by: str, comment: str | None = None) -> Approval:
        """Refuse, also what others have approved.

        :raises Problem: 404, 403 for who asked, 409 for what is decided.
        """

        def refused(before: Approval, decision: Decision) -> Approval:
            return msgspec.structs.replace(before, ended=decision, status=ApprovalStatus.REJECTED)

        return self._decide(tenant, name, approval_id, refused, by=by, comment=comment, action="approval.rejected")

    def withdraw(self, tenant: str, name: str, approval_id: str, *, by: str, comment: str | None = None) -> Approval:
        """Take one's own request back.

        :raises Problem: 404, 403 for anybody else, 409 for what is decided.
        """

        def withdrawn(before: Approval, decision: Decision) -> Approval:
            return msgspec.structs.replace(before, ended=decision, status=ApprovalStatus.WITHDRAWN)

        return self._decide(
            tenant, name, approval_id, withdrawn, by=by, comment=comment, action="approval.withdrawn", own=True
        )

    def holding(self, tenant: str, model: Model, version: Version, alias: str) -> set[str]:
        """Who has approved exactly this version for an alias, in a request that is open."""
        return {
            given.by
            for one in self.of_version(tenant, model, version.number)
            if one.alias == alias and one.status in OPEN and one.digest == version.digest
            for given in one.approvals
            if given.by != one.requested.by
        }

    def _decide(
        self,
        tenant: str,
        name: str,
        approval_id: str,
        decide: Callable[[Approval, Decision], Approval],
        *,
        by: str,
        comment: str | None,
        action: str,
        own: bool = False,
    ) -> Approval:
        """:param own: whether exactly who asked may do it, or exactly anybody else. Of a deleted version nobody may."""
        _check(comment)

        def attempt() -> Approval:
            number = _number(approval_id)
            if number is None:
                raise _unknown(name, approval_id)
            model = self._records.version_to_name(tenant, name, number).model
            before = self._read(tenant, model, approval_id)
            if (by == before.requested.by) is not own:
                detail = f"Only {before.requested.by}, who asked, may do this." if own else "Who asked cannot decide."
                raise Problem(HTTPStatus.FORBIDDEN, "not_own_request" if own else "own_request", detail)
            if before.status not in OPEN:
                raise _conflict("approval_decided", f"This request is {before.status} and stays so.")
            decision = Decision(by=by, at=self._clock(), comment=comment)
            after = msgspec.structs.replace(decide(before, decision), revision=before.revision + 1)
            self._write(tenant, model, after, before=before, action=action, by=decision)
            return after

        return self._records.in_turn(tenant, name, attempt)

    def _write(
        self, tenant: str, model: Model, approval: Approval, *, before: Approval | None, action: str, by: Decision
    ) -> None:
        told = [None if one is None else {"approval": _told(one)} for one in (before, approval)]
        change = Change(
            by=by.by, at=by.at, action=action, version=approval.version, before=told[0] or {}, after=told[1] or {}
        )
        item = {name: value for name, value in msgspec.to_builtins(approval).items() if value is not None}
        condition = ABSENT if before is None else Condition(revision=before.revision)
        self._table.write(
            *self._records.changed(tenant, model, before=model, change=change),
            Put(key=_key(tenant, model, approval.id), item=item, condition=condition),
            Check(key=keys.version(tenant, model.id, approval.version), condition=EXISTS),
        )

    def _read(self, tenant: str, model: Model, approval_id: str) -> Approval:
        item = None if _number(approval_id) is None else self._table.get(_key(tenant, model, approval_id))
        if item is None:
            raise _unknown(model.name, approval_id)
        return msgspec.convert(item, Approval)


def _number(approval_id: str) -> int | None:
    """Of the version; None for what is no id."""
    number, dash, _ = approval_id.partition("-")
    possible = dash and number.isascii() and number.isdigit() and len(approval_id) <= 50 and approval_id.isascii()
    return int(number) if possible else None


def _when(one: Approval) -> tuple[int, str]:
    return one.requested.at, one.id


def _unknown(name: str, approval_id: str) -> Problem:
    return does_not_exist(f"Model {name} has no approval request {approval_id}.")


def _key(tenant: str, model: Model, approval_id: str) -> keys.Key:
    number, _, rest = approval_id.partition("-")
    return keys.approval(tenant, model.id, int(number), rest)


def _told(approval: Approval) -> dict[str, object]:
    """What the audit tells; who did it stands beside."""
    ended = approval.ended or (approval.approvals[-1] if approval.approvals else approval.requested)
    return {
        "id": approval.id,
        "alias": approval.alias,
        "digest": approval.digest,
        "status": str(approval.status),
        "approved_by": [given.by for given in approval.approvals],
        "comment": ended.comment,
    }


def _check(comment: str | None) -> None:
    if comment is not None:
        rules.limit_bytes(comment, MAX_COMMENT_BYTES, field="comment")


def _conflict(code: str, detail: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, code, detail)
