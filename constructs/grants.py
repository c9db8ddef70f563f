"""What a role may do, as named statements: no wildcard actions, no more than the data plane needs."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from aws_cdk import Stack
from aws_cdk import aws_sqs as sqs
from constructs.camel import camel
from constructs.location import bucket_arn, here
from constructs.statements import Statement

from anfl.resources import VECTOR_INDEX


class Access(StrEnum):
    """Reading alone, or reading and writing."""

    READ = "read"
    WRITE = "write"


_BUCKET = ["s3:ListBucket", "s3:ListBucketVersions"]
_OBJECT_READ = ["s3:GetObject", "s3:GetObjectVersion"]
_OBJECT_WRITE = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"]
_PARTS = ["s3:ListMultipartUploadParts"]


def table(stack: Stack, name: str, actions: Sequence[str]) -> list[Statement]:
    """``actions`` of DynamoDB on items of the table ``name`` in the stack's region."""
    return [
        Statement(
            sid=f"Table{camel(name)}",
            actions=[f"dynamodb:{action}" for action in actions],
            resources=[here(stack).arn("dynamodb", f"table/{name}")],
        )
    ]


def partitions(stack: Stack, name: str, actions: Mapping[str, Sequence[str]]) -> list[Statement]:
    """By partition key, actions of DynamoDB on items of it alone, of the table ``name`` in the stack's region.

    Of actions that name a partition: a scan names none, so the condition would not hold it back.
    """
    return [
        Statement(
            sid=f"Table{camel(name)}{camel(partition)}",
            actions=[f"dynamodb:{action}" for action in sorted(wanted)],
            resources=[here(stack).arn("dynamodb", f"table/{name}")],
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition]}},
        )
        for partition, wanted in actions.items()
    ]


def held(stack: Stack, name: str, patterns: Mapping[str, Sequence[str]]) -> list[Statement]:
    """By action of DynamoDB that names a partition, as `partitions`, patterns of the partitions that it is held to.

    Of a transaction AWS may tell all its partitions for each of its actions: those that it only checks have to fit too.
    """
    return [
        Statement(
            sid=f"Table{camel(name)}{action}",
            actions=[f"dynamodb:{action}"],
            resources=[here(stack).arn("dynamodb", f"table/{name}")],
            conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(wanted)}},
        )
        for action, wanted in patterns.items()
    ]


def vector_classes(stack: Stack, names: Sequence[str], actions: Sequence[str]) -> list[Statement]:
    """``actions`` of DynamoDB on items of the tables ``names``, and searches of their vector indexes.

    A search is granted by the index alone. No condition can hold it to some of its rows: those of DynamoDB's
    fine-grained access control do not apply to it.
    """
    tables = [here(stack).arn("dynamodb", f"table/{name}") for name in names]
    if not tables:
        return []
    indexes = [f"{table}/index/{VECTOR_INDEX}" for table in tables]
    return [
        Statement(sid="ClassTables", actions=[f"dynamodb:{action}" for action in actions], resources=tables),
        Statement(sid="SearchClasses", actions=["dynamodb:SearchVectors"], resources=indexes),
    ]


def bucket(name: str, label: str, access: Access, *, sees_parts: bool = False) -> list[Statement]:
    """Objects of the bucket ``name`` and their versions.

    :param sees_parts: also which parts of an upload have come that somebody else sends.
    """
    arn = bucket_arn(name)
    writes = (_OBJECT_WRITE if access is Access.WRITE else []) + (_PARTS if sees_parts else [])
    return [
        Statement(sid=f"Bucket{label}List", actions=_BUCKET, resources=[arn]),
        Statement(
            sid=f"Bucket{label}{access.capitalize()}", actions=sorted(_OBJECT_READ + writes), resources=[f"{arn}/*"]
        ),
    ]


def send(queue: sqs.IQueue, label: str) -> list[Statement]:
    """Put messages on a queue."""
    return [Statement(sid=f"Queue{label}Send", actions=["sqs:SendMessage"], resources=[queue.queue_arn])]


def consume(queue: sqs.IQueue, label: str, *, delays: bool) -> list[Statement]:
    """Take messages from a queue.

    :param delays: also say when a message that could not be dealt with comes again.
    """
    actions = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    return [
        Statement(
            sid=f"Queue{label}Consume",
            actions=[*(["sqs:ChangeMessageVisibility"] if delays else []), *actions],
            resources=[queue.queue_arn],
        )
    ]


def data_key(stack: Stack, key_arn: str, services: Sequence[str]) -> list[Statement]:
    """The data key, by way of AWS ``services`` (``s3``, ``dynamodb``, ``sqs``) in the stack's region alone."""
    return [
        Statement(
            sid="DataKey",
            actions=[
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            resources=[key_arn],
            conditions={
                "StringEquals": {"kms:ViaService": [f"{s}.{here(stack).region}.amazonaws.com" for s in services]}
            },
        )
    ]


def key_by_s3(
    sid: str, key_arn: str, actions: Sequence[str], *, buckets: Sequence[str], regions: Sequence[str]
) -> Statement:
    """``actions`` of KMS on a key by way of the S3 of ``regions``, for what is in these buckets alone.

    The context of such a call is the bucket's ARN with a bucket key, and the object's without.
    """
    arns = [bucket_arn(name) for name in buckets]
    via = [f"s3.{region}.amazonaws.com" for region in regions]
    return Statement(
        sid=sid,
        actions=actions,
        resources=[key_arn],
        conditions={
            "StringEquals": {"kms:ViaService": via[0] if len(via) == 1 else via},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": [*arns, *(f"{arn}/*" for arn in arns)]},
        },
    )


def count_tasks(stack: Stack, service: str) -> list[Statement]:
    """How many tasks of ``<cluster>/<service>`` run."""
    arn = here(stack).arn("ecs", f"service/{service}")
    return [Statement(sid="CountTasks", actions=["ecs:DescribeServices"], resources=[arn])]


def publish_metrics(namespace: str) -> list[Statement]:
    """Metrics of one namespace. CloudWatch scopes them by nothing else."""
    return [
        Statement(
            sid="PublishMetrics",
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringEquals": {"cloudwatch:namespace": namespace}},
        )
    ]


def invoke(stack: Stack, name: str, label: str) -> list[Statement]:
    """Call the function ``name``."""
    arn = here(stack).arn("lambda", f"function:{name}")
    return [Statement(sid=f"Call{label}", actions=["lambda:InvokeFunction"], resources=[arn])]


def write_logs(log_group_arn: str) -> list[Statement]:
    """Streams of one log group."""
    return [
        Statement(
            sid="Logs",
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[log_group_arn],
        )
    ]
