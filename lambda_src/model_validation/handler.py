"""Inspects model artefacts: asked by the validation queue, or directly.

Direct events: ``{"operation": "inspect", "tenant"?, "name", "version"}`` inspects a version and records the verdict,
in the registry's home region alone;
``{"operation": "inspect", "tenant"?, "path"}`` inspects a file or folder of the artefact store. Both answer
``{"status": 200, "result": …}`` or ``{"status": 4xx, "problem": …}``.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import msgspec

from anfl import aws, environment, resources, start
from anfl.inspection.limits import MIB, Limits
from anfl.invocation import Context, empty_folder, seconds_left
from anfl.messages import Message, one_by_one
from anfl.problems import Problem, invalid
from anfl.registry import rules
from anfl.registry.entities import VerdictStatus
from anfl.registry.home import Home, home
from anfl.registry.inspections import Inspections
from anfl.registry.letters import ValidationRequest
from anfl.registry.registry import Registry, build_registry
from anfl.resources import Variable
from anfl.telemetry import embedded

start.begin()
_log = logging.getLogger(__name__)

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
_Tenant = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\Z")]


_TIME_SHARE, _MEMORY_SHARE = 0.8, 0.5
"""Of what the function has, for the inspection itself: the rest is for bringing the files and for the verdict, and for
the interpreter and the files' mapped pages."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    table: str = msgspec.field(name="REGISTRY_TABLE")
    bucket: str = msgspec.field(name="ARTIFACTS_BUCKET")
    memory_mib: int = msgspec.field(name="AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    default_tenant: str | None = msgspec.field(default=None, name="DEFAULT_TENANT")
    package_hosts: str = msgspec.field(default="[]", name="PACKAGE_HOSTS")


class Inspect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A direct event: a version, or a path."""

    operation: Literal["inspect"]
    tenant: _Tenant | None = None
    name: _Text | None = None
    version: _Text | int | None = None
    path: _Text | None = None


class Function:
    """The function over a registry."""

    def __init__(
        self,
        registry: Registry,
        inspections: Inspections,
        *,
        default_tenant: str | None = None,
        written_in: Home | None = None,
    ) -> None:
        """:param written_in: where verdicts are; None: there is no other region."""
        self._written_in = written_in
        self._registry = registry
        self._inspections = inspections
        self._default_tenant = default_tenant

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer any event: a batch of the queue's, or a direct one."""
        if "Records" in event:
            return one_by_one(event["Records"], self._carry_out)
        try:
            with embedded.call(resources.Function.MODEL_VALIDATION) as call:
                call.operation = "inspect"
                return {"status": 200, "result": self._direct(event)}
        except Problem as problem:
            return {"status": problem.status, "problem": problem.document()}

    def _direct(self, event: Mapping[str, Any]) -> object:
        try:
            asked = msgspec.convert(event, Inspect)
        except msgspec.ValidationError as error:
            raise invalid(f"the event is not one of this function's: {error}", field="operation") from None
        tenant = asked.tenant or self._default_tenant
        if tenant is None:
            raise invalid("name the tenant; this environment has no default one", field="tenant")
        if asked.path is not None:
            if asked.name is not None or asked.version is not None:
                raise invalid("give either a path, or a name and a version", field="path")
            return msgspec.to_builtins(self._inspections.path(tenant, asked.path))
        if asked.name is None or asked.version is None:
            raise invalid("give a name and a version, or a path", field="name" if asked.name is None else "version")
        self._check_home()
        found = self._registry.versions.get(tenant, asked.name, rules.version_number(str(asked.version)))
        return msgspec.to_builtins(self._inspections.version(tenant, found))

    def _carry_out(self, message: Message) -> None:
        with embedded.call(resources.Function.MODEL_VALIDATION) as call:
            call.operation = "validate"
            self._validate(str(message["body"]), str(message["messageId"]))

    def _check_home(self) -> None:
        if self._written_in is not None:
            self._written_in.check()

    def _validate(self, body: str, message_id: str) -> None:
        self._check_home()  # it was left here by a region that is not home any more
        request = msgspec.json.decode(body, type=ValidationRequest)
        found = self._registry.records.by_id(request.tenant, request.name, request.model_id, request.version)
        if found is None:
            _log.info("version is gone", extra={"message_id": message_id, "model_id": request.model_id})
            return
        before = self._registry.verdicts.of(request.tenant, found)
        if before is not None and before.status is not VerdictStatus.PENDING:  # this message came twice
            _log.info("inspected already", extra={"message_id": message_id, "model_id": request.model_id})
            return
        try:
            verdict = self._inspections.version(request.tenant, found)
        except Problem as problem:
            if problem.code != "resource_does_not_exist":
                raise
            _log.info("version went away", extra={"message_id": message_id, "model_id": request.model_id})
            return
        _log.info(
            "inspected",
            extra={
                "model_id": request.model_id,
                "version": request.version,
                "status": str(verdict.status),
                "reasons": sorted({reason.code for reason in verdict.reasons}),
            },
        )


def limits_of(context: Context, *, memory_mib: int) -> Limits:
    """What an inspection may cost in this invocation of a function of that memory."""
    return Limits(seconds=seconds_left(context) * _TIME_SHARE, memory_bytes=int(memory_mib * MIB * _MEMORY_SHARE))


@cache
def _registry(settings: Settings) -> Registry:
    session = aws.session()
    return build_registry(
        table=settings.table,
        dynamodb=session.client("dynamodb", config=aws.config(read_timeout=5)),
        bucket=settings.bucket,
        s3=session.client("s3", config=aws.config(read_timeout=60)),
    )


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The Lambda entry point."""
    settings = environment.load(Settings)
    registry = _registry(settings)
    limits = limits_of(context, memory_mib=settings.memory_mib)
    hosts = environment.parse(Variable.PACKAGE_HOSTS, settings.package_hosts, tuple[str, ...])
    inspections = Inspections(
        registry, scratch=empty_folder("anfl-model-validation"), limits=limits, package_hosts=hosts
    )
    function = Function(registry, inspections, default_tenant=settings.default_tenant, written_in=home())
    return function.answer(event)
