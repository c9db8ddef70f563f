"""A queue with its dead-letter queue."""

from datetime import timedelta
from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct
from constructs.durations import days, seconds
from constructs.location import here

from anfl.resources import dead_letters_of


class WorkQueue(Construct):
    """Both queues under the data key, reached over TLS alone; only this queue may send to its dead letters."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        key: kms.IKey,
        visibility: timedelta,
        max_receives: int,
        dead_letter_retention: timedelta,
    ) -> None:
        """:param visibility: how long a consumer has a message to itself; 6 × its time-out where that is a function."""
        super().__init__(scope, id)
        dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=dead_letters_of(name),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=_seconds(dead_letter_retention),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=days(4),
            visibility_timeout=_seconds(visibility),
            receive_message_wait_time=seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=max_receives),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.dead_letters = dead_letters
        redrive = cast(sqs.CfnQueue, dead_letters.node.default_child)
        # By name: the queue names its dead letters by reference, which cannot go both ways.
        source = here(self.queue.stack).arn("sqs", name)
        redrive.redrive_allow_policy = {"redrivePermission": "byQueue", "sourceQueueArns": [source]}


def _seconds(value: timedelta) -> Duration:
    return seconds(int(value.total_seconds()))
