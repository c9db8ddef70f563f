"""Grants that no end-to-end test uses, each with the reason.

A grant that is used and stands here fails its test as well as one that is not used and does not stand here
(`test_used_grants`).
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.local.end_to_end.permissions import Grant


@dataclass(frozen=True, kw_only=True)
class Unused:
    """Actions of one statement in the policies of some roles."""

    roles: tuple[str, ...]
    """As the templates call them; patterns."""
    statement: str
    """Its Sid, as a pattern."""
    actions: tuple[str, ...]
    """Patterns. Each must be granted to each role, and used by none."""
    reason: str

    def cells(self) -> list[tuple[str, str, str]]:
        """(role, statement, action) one by one."""
        return [(role, self.statement, action) for role in self.roles for action in self.actions]


def covers(cell: tuple[str, str, str], grant: Grant) -> bool:
    """Whether a grant is one of those that a cell means."""
    role, statement, action = cell
    return (
        fnmatchcase(grant[0], f"*-{role}????????")
        and fnmatchcase(grant[1], statement)
        and fnmatchcase(grant[2], action)
    )


_INSIDE = tuple(
    f"{name}FunctionRole" for name in ("VectorProcessing", "ModelValidation", "WebhookSigner", "Auth", "Authorizer")
)
_AGENT, _LEADER = "key-agent-FunctionRole", "global-key-leader-FunctionRole"
_FUNCTIONS = (*_INSIDE, "WebhooksFunctionRole", _AGENT, _LEADER)
_SERVICES = tuple(f"{name}ServiceTaskRole" for name in ("VectorStore", "ModelRegistry"))
_TABLE_KEY = (
    "DynamoDB's guide asks for these of whoever uses a table under a customer's key and does not say for which call; "
    "the embedded AWS demands Decrypt alone"
)

UNUSED = (
    Unused(
        roles=_FUNCTIONS,
        statement="Logs",
        actions=("logs:CreateLogStream", "logs:PutLogEvents"),
        reason="Lambda writes what a function prints; here it goes to a file",
    ),
    Unused(
        roles=(*_INSIDE, _AGENT),
        statement="NetworkInterfaces",
        actions=("ec2:*",),
        reason="Lambda attaches functions to subnets; here there are none",
    ),
    Unused(
        roles=_FUNCTIONS,
        statement="Trace",
        actions=("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
        reason="Lambda sends traces; nothing stands for X-Ray here",
    ),
    Unused(
        roles=_SERVICES,
        statement="WriteMetrics",
        actions=("aps:RemoteWrite",),
        reason="the collector beside a service writes them; it is not started here",
    ),
    Unused(
        roles=("VectorStoreServiceExecutionRole", "ModelRegistryServiceExecutionRole"),
        statement="*",
        actions=("ecr:*", "logs:*"),
        reason="ECS fetches images and writes logs with it; here services are processes of this machine",
    ),
    Unused(
        roles=("VectorProcessingClusterInstanceRole", "ModelRegistryClusterInstanceRole"),
        statement="*",
        actions=("ecs:*",),
        reason="the agent of an instance has it; no instance boots here",
    ),
    Unused(
        roles=("NetworkFlowLogsRole",),
        statement="WriteFlowLogs",
        actions=("logs:*",),
        reason="a VPC writes its flow logs with it; here there is none",
    ),
    Unused(
        roles=(*_FUNCTIONS, *_SERVICES),
        statement="DataKey",
        actions=("kms:DescribeKey", "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
        reason=_TABLE_KEY,
    ),
    Unused(
        roles=(
            *(f"{name}FunctionRole" for name in ("ModelValidation", "Auth", "Authorizer", "Webhooks", "WebhookSigner")),
            _AGENT,
            _LEADER,
        ),
        statement="DataKey",
        actions=("kms:GenerateDataKey",),
        reason=_TABLE_KEY,
    ),
    Unused(
        roles=("ModelValidationFunctionRole",),
        statement="BucketArtifactsList",
        actions=("s3:ListBucket",),
        reason="S3 tells only who may list the bucket that an object is gone: one that was removed meanwhile",
    ),
    Unused(
        roles=("ModelValidationFunctionRole",),
        statement="Table*Registry",
        actions=("dynamodb:Query",),
        reason="a model that two regions have changed at the same moment is healed by who meets it; here one writes",
    ),
    Unused(
        roles=("ModelValidationFunctionRole",),
        statement="BucketArtifactsRead",
        actions=("s3:GetObject",),
        reason="an object without a version's id: one that was put while somebody had suspended versioning",
    ),
)
"""Everything that is granted in dev and not used."""
