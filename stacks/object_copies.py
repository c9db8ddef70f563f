"""The function that brings other regions' copies of damaged objects, and the queue by which it is asked."""

import json
from collections.abc import Sequence

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import grants
from constructs.bucket_replication import Place
from constructs.camel import camel
from constructs.location import bucket_arn
from constructs.python_function import PythonFunction
from constructs.statements import Statement
from constructs.work_queue import WorkQueue

from anfl.resources import COPIES_PREFIX, Caretaker, Variable
from stacks.base import AnflStack

_VECTORS = "vectors"


def object_copier(
    stack: AnflStack, *, here: Place, others: Sequence[Place], queue: WorkQueue, log_group: logs.ILogGroup
) -> PythonFunction:
    """Outside of the network: the private subnets' groups and endpoints let nobody reach another region's S3."""
    bucket = here.buckets[_VECTORS]
    function = PythonFunction(
        stack,
        "Copier",
        function=Caretaker.OBJECT_COPIER,
        name=stack.settings.name(Caretaker.OBJECT_COPIER),
        size=stack.settings.deployment.functions.object_copier,
        environment={
            Variable.ENVIRONMENT: stack.settings.environment,
            Variable.VECTORS_BUCKET: bucket,
            Variable.OTHER_BUCKETS: json.dumps({place.region: place.buckets[_VECTORS] for place in others}),
        },
        statements=[
            *(statement for place in others for statement in _read(place, here)),
            *_put_copies(here, bucket),
            *grants.consume(queue.queue, "Copies", delays=False),
            *grants.data_key(stack, here.key_arn, ["sqs"]),
        ],
        log_group=log_group,
    )
    lambda_.EventSourceMapping(
        stack,
        "CopierSource",
        target=function,
        event_source_arn=queue.queue.queue_arn,
        batch_size=1,
        report_batch_item_failures=True,
    )
    return function


def _read(place: Place, here: Place) -> list[Statement]:
    label, bucket = camel(place.region), place.buckets[_VECTORS]
    return [
        Statement(sid=f"ListElsewhere{label}", actions=["s3:ListBucketVersions"], resources=[bucket_arn(bucket)]),
        Statement(sid=f"ReadElsewhere{label}", actions=["s3:GetObjectVersion"], resources=[f"{bucket_arn(bucket)}/*"]),
        # Either S3 may be the one that KMS hears of when one copies from the other.
        grants.key_by_s3(
            f"DecryptElsewhere{label}",
            place.key_arn,
            ["kms:Decrypt"],
            buckets=[bucket],
            regions=[place.region, here.region],
        ),
    ]


def _put_copies(here: Place, bucket: str) -> list[Statement]:
    """Beside what stands in the bucket, and in the place of none of it."""
    return [
        Statement(
            sid="KnowCopies",
            actions=["s3:ListBucket"],
            resources=[bucket_arn(bucket)],
            conditions={"StringLike": {"s3:prefix": f"{COPIES_PREFIX}*"}},
        ),
        Statement(sid="PutCopies", actions=["s3:PutObject"], resources=[bucket_arn(f"{bucket}/{COPIES_PREFIX}*")]),
        grants.key_by_s3(
            "EncryptCopies", here.key_arn, ["kms:GenerateDataKey"], buckets=[bucket], regions=[here.region]
        ),
    ]
