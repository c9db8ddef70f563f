"""The OpenAPI 3.1 description of ``/v1/models``. MLflow documents the rest: it is their protocol."""

from typing import Any

from anfl import openapi
from anfl.openapi import Operation
from anfl.registry import trails
from anfl.registry.approvals import Approval, ApprovalPage
from anfl.registry.entities import Verdict
from anfl.registry.policies import AliasPolicy
from anfl.registry.signatures import VersionSignature
from anfl.registry.signing_keys import SigningKey
from services.model_registry import aliases, approvals, audit, policies, signing, uploads, validation
from services.model_registry.uploads import Upload, UploadRequest

PATH = "/v1/models/openapi.json"
_DESCRIPTION = """\
What the registry has beyond MLflow's protocol: verdicts, uploads, approvals, signatures, policies, audit.

**Errors** are problem documents (RFC 9457) with a stable `code`; those with `retry-after` may be tried again.
"""
_OPERATIONS = (
    Operation(
        method="GET",
        path=validation.PATH,
        name="getValidation",
        summary="The state of a version's validation and its verdict.",
        answer=Verdict,
    ),
    Operation(
        method="POST",
        path=validation.PATH,
        name="requestValidation",
        summary="Have a version inspected (again).",
        answer=Verdict,
        status=202,
    ),
    Operation(
        method="POST",
        path=uploads.PATH,
        name="createUpload",
        summary="A link that takes one new file of exactly this length and checksum for 15 minutes.",
        answer=Upload,
        status=201,
        takes=(UploadRequest,),
    ),
    Operation(
        method="PUT",
        path=aliases.PATH,
        name="setAlias",
        summary="Point an alias at a version that has what the alias's policy asks for.",
        answer=aliases.Alias,
        takes=(aliases.Target,),
    ),
    Operation(method="DELETE", path=aliases.PATH, name="deleteAlias", summary="Remove an alias.", status=204),
    Operation(
        method="POST",
        path=approvals.REQUEST,
        name="requestApproval",
        summary="Ask that a version may have an alias.",
        answer=Approval,
        status=201,
        takes=(approvals.Asked,),
    ),
    Operation(
        method="GET",
        path=approvals.ALL,
        name="listApprovals",
        summary="Requests for approval of a model's versions, by version and time.",
        answer=ApprovalPage,
        queries={"version": "string", "alias": "string", "status": "string", **audit.PAGED},
    ),
    Operation(
        method="GET", path=approvals.ONE, name="getApproval", summary="One request for approval.", answer=Approval
    ),
    *(
        Operation(
            method="POST",
            path=f"{approvals.ONE}/{step}",
            name=f"{step}Approval",
            summary=summary,
            answer=Approval,
            takes=(approvals.Said,),
        )
        for step, summary in (
            ("approve", "Agree to what somebody else asked."),
            ("reject", "Refuse what somebody else asked, also when it was approved."),
            ("withdraw", "Take one's own request back."),
        )
    ),
    Operation(
        method="GET",
        path=signing.SIGNATURES,
        name="listSignatures",
        summary="A version's signatures, each verified again.",
        answer=signing.SignatureList,
    ),
    Operation(
        method="POST",
        path=signing.SIGNATURES,
        name="addSignature",
        summary="Take a signature of OpenSSF model-signing by a registered key over exactly this version's files.",
        answer=VersionSignature,
        status=201,
        takes=(signing.Signed,),
    ),
    Operation(
        method="GET",
        path=signing.KEYS,
        name="listKeys",
        summary="Public keys whose signatures the tenant believes.",
        answer=signing.KeyList,
    ),
    Operation(
        method="POST",
        path=signing.KEYS,
        name="addKey",
        summary="Believe signatures of a key (P-256, P-384, P-521; PEM).",
        answer=SigningKey,
        status=201,
        takes=(signing.NewKey,),
    ),
    Operation(
        method="DELETE", path=signing.KEY, name="removeKey", summary="Believe a key's signatures no more.", status=204
    ),
    Operation(
        method="GET",
        path=policies.ALL,
        name="listPolicies",
        summary="What aliases take: the deployment's policies and the tenant's own.",
        answer=policies.PolicyList,
    ),
    Operation(
        method="PUT",
        path=policies.ONE,
        name="setPolicy",
        summary="Set the tenant's own policy for an alias; it may ask for more than the deployment's, never for less.",
        answer=AliasPolicy,
        takes=(policies.NewPolicy,),
    ),
    Operation(
        method="DELETE",
        path=policies.ONE,
        name="deletePolicy",
        summary="Remove the tenant's own policy for an alias.",
        status=204,
    ),
    Operation(
        method="GET",
        path=audit.MODEL,
        name="getModelAudit",
        summary="Entries of a model's audit, in order; where no model has the name, of the last that had it.",
        answer=trails.Page,
        queries={**audit.PAGED, "model_id": "string"},
    ),
    Operation(
        method="GET",
        path=audit.TENANT,
        name="getAudit",
        summary="Entries about what concerns no single model: webhooks, policies, keys.",
        answer=trails.Page,
        queries=audit.PAGED,
    ),
    Operation(
        method="GET",
        path=audit.CHAINS,
        name="listAuditedModels",
        summary="Models that have or had a name, also deleted ones: each has an audit.",
        answer=trails.Chains,
        queries=audit.PAGED,
    ),
)


def document() -> dict[str, Any]:
    """The description, JSON-ready."""
    refused = {"default": openapi.refusal("Refused")}
    return openapi.document(
        _OPERATIONS, title="ANFL model registry", description=_DESCRIPTION, refusals=lambda _: refused
    )
