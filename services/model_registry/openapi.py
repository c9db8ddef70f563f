"""The OpenAPI 3.1 description of ``/v1/models``. MLflow documents the rest: it is their protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from anfl.problems import MEDIA_TYPE
from anfl.registry import trails
from anfl.registry.approvals import Approval
from anfl.registry.entities import Verdict
from anfl.registry.policies import AliasPolicy
from anfl.registry.signatures import VersionSignature
from anfl.registry.signing_keys import SigningKey
from services.model_registry import aliases, approvals, audit, policies, signing, uploads, validation
from services.model_registry.uploads import Upload, UploadRequest

PATH = "/v1/models/openapi.json"
_REFERENCE = "#/components/schemas/{name}"


@dataclass(frozen=True, kw_only=True)
class _Operation:
    method: str
    path: str
    name: str
    summary: str
    answer: type | None = None
    status: int = 200
    takes: type | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the query: name → JSON type."""


_OPERATIONS = (
    _Operation(
        method="GET",
        path=validation.PATH,
        name="getValidation",
        summary="The state of a version's validation and its verdict.",
        answer=Verdict,
    ),
    _Operation(
        method="POST",
        path=validation.PATH,
        name="requestValidation",
        summary="Have a version inspected (again).",
        answer=Verdict,
        status=202,
    ),
    _Operation(
        method="POST",
        path=uploads.PATH,
        name="createUpload",
        summary="A link that takes one new file of exactly this length and checksum for 15 minutes.",
        answer=Upload,
        status=201,
        takes=UploadRequest,
    ),
    _Operation(
        method="PUT",
        path=aliases.PATH,
        name="setAlias",
        summary="Point an alias at a version that has what the alias's policy asks for.",
        answer=aliases.Alias,
        takes=aliases.Target,
    ),
    _Operation(method="DELETE", path=aliases.PATH, name="deleteAlias", summary="Remove an alias.", status=204),
    _Operation(
        method="POST",
        path=approvals.REQUEST,
        name="requestApproval",
        summary="Ask that a version may have an alias.",
        answer=Approval,
        status=201,
        takes=approvals.Asked,
    ),
    _Operation(
        method="GET",
        path=approvals.ALL,
        name="listApprovals",
        summary="Requests for approval of a model's versions, by version and time.",
        answer=approvals.ApprovalList,
        queries={"version": "string", "alias": "string", "status": "string"},
    ),
    _Operation(
        method="GET", path=approvals.ONE, name="getApproval", summary="One request for approval.", answer=Approval
    ),
    *(
        _Operation(
            method="POST",
            path=f"{approvals.ONE}/{step}",
            name=f"{step}Approval",
            summary=summary,
            answer=Approval,
            takes=approvals.Said,
        )
        for step, summary in (
            ("approve", "Agree to what somebody else asked."),
            ("reject", "Refuse what somebody else asked, also when it was approved."),
            ("withdraw", "Take one's own request back."),
        )
    ),
    _Operation(
        method="GET",
        path=signing.SIGNATURES,
        name="listSignatures",
        summary="A version's signatures, each verified again.",
        answer=signing.SignatureList,
    ),
    _Operation(
        method="POST",
        path=signing.SIGNATURES,
        name="addSignature",
        summary="Take a signature of OpenSSF model-signing by a registered key over exactly this version's files.",
        answer=VersionSignature,
        status=201,
        takes=signing.Signed,
    ),
    _Operation(
        method="GET",
        path=signing.KEYS,
        name="listKeys",
        summary="Public keys whose signatures the tenant believes.",
        answer=signing.KeyList,
    ),
    _Operation(
        method="POST",
        path=signing.KEYS,
        name="addKey",
        summary="Believe signatures of a key (P-256, P-384, P-521; PEM).",
        answer=SigningKey,
        status=201,
        takes=signing.NewKey,
    ),
    _Operation(
        method="DELETE", path=signing.KEY, name="removeKey", summary="Believe a key's signatures no more.", status=204
    ),
    _Operation(
        method="GET",
        path=policies.ALL,
        name="listPolicies",
        summary="What aliases take: the deployment's policies and the tenant's own.",
        answer=policies.PolicyList,
    ),
    _Operation(
        method="PUT",
        path=policies.ONE,
        name="setPolicy",
        summary="Set the tenant's own policy for an alias; it may ask for more than the deployment's, never for less.",
        answer=AliasPolicy,
        takes=policies.NewPolicy,
    ),
    _Operation(
        method="DELETE",
        path=policies.ONE,
        name="deletePolicy",
        summary="Remove the tenant's own policy for an alias.",
        status=204,
    ),
    _Operation(
        method="GET",
        path=audit.MODEL,
        name="getModelAudit",
        summary="Entries of a model's audit, in order; where no model has the name, of the last that had it.",
        answer=trails.Page,
        queries={**audit.PAGED, "model_id": "string"},
    ),
    _Operation(
        method="GET",
        path=audit.TENANT,
        name="getAudit",
        summary="Entries about what concerns no single model: webhooks, policies, keys.",
        answer=trails.Page,
        queries=audit.PAGED,
    ),
    _Operation(
        method="GET",
        path=audit.CHAINS,
        name="listAuditedModels",
        summary="Models that have or had a name, also deleted ones: each has an audit.",
        answer=audit.Chains,
    ),
)


class _Problem(msgspec.Struct, frozen=True, kw_only=True, rename={"type_": "type"}):
    """RFC 9457. Programs may match on ``code``; ``field`` is the path of the offending input."""

    type_: str
    title: str
    status: int
    code: str
    detail: str
    field: str | msgspec.UnsetType = msgspec.UNSET


def document() -> dict[str, Any]:
    """The description, JSON-ready."""
    types = [_Problem, *(type_ for o in _OPERATIONS for type_ in (o.answer, o.takes) if type_ is not None)]
    _, components = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in _OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ANFL model registry", "version": "1"},
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _described(operation: _Operation) -> dict[str, Any]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    paths = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    queries = [{"name": name, "in": "query", "schema": {"type": kind}} for name, kind in operation.queries.items()]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": paths + queries,
        "responses": {
            str(operation.status): {"description": "Done"}
            | ({"content": _content("application/json", operation.answer)} if operation.answer else {}),
            "default": {"description": "Refused", "content": _content(MEDIA_TYPE, _Problem)},
        },
    }
    if operation.takes is not None:
        described["requestBody"] = {"required": True, "content": _content("application/json", operation.takes)}
    return described


def _content(media_type: str, type_: type) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REFERENCE.format(name=type_.__name__)}}}
