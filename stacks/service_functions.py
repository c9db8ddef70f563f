"""A region's functions: code, size, permissions, and the queues whose messages they take."""

from collections.abc import Mapping

from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from constructs.camel import camel
from constructs.python_function import SMALLEST_STORAGE, PythonFunction
from constructs.region_network import RegionNetwork
from constructs.schedule import call_every

from anfl.resources import REWRAP_DUE, Function
from stacks.access import Parts
from stacks.architecture import FunctionName, FunctionSize
from stacks.base import AnflStack
from stacks.models import Settings
from stacks.security import SecurityStack
from stacks.storage import StorageStack

OUTSIDE = frozenset({Function.WEBHOOKS})
"""Talks to strangers on the internet, which the private subnets' groups let nobody reach, and to nothing inside."""
REWRAPPING_MINUTES = 15
"""Between two looks whether wrapped keys are due for the active version: seldom they are."""
CHUNKS_AT_ONCE = 4
"""Invocations that store chunks at a time: more of them would only take one log's next slot from each other."""


def functions_in(
    stack: AnflStack,
    *,
    network: RegionNetwork,
    security: SecurityStack,
    storage: StorageStack,
    parts: Parts,
    key: kms.IKey,
) -> Mapping[Function, PythonFunction]:
    """All functions that requests and messages reach."""
    settings = stack.settings
    vpc = network.vpc_in(stack)
    storages = {Function.MODEL_VALIDATION: settings.deployment.functions.model_validation_storage}
    functions = {
        function: PythonFunction(
            stack,
            f"{camel(function)}Function",
            function=function,
            name=settings.name(function),
            size=_size(settings, function),
            environment=parts.environment(function),
            statements=parts.statements(function),
            vpc=None if function in OUTSIDE else vpc,
            security_group=None if function in OUTSIDE else security.functions,
            log_group=stack.log_group(f"{camel(function)}FunctionLogs", key),
            ephemeral_storage=storages.get(function, SMALLEST_STORAGE),
        )
        for function in Function
    }
    _consume(stack, functions, storage)
    _rewrap(stack, functions)
    return functions


def _size(settings: Settings, function: Function) -> FunctionSize:
    sizes, extra = settings.compute.lambda_, settings.deployment.functions
    return {
        Function.VECTOR_PROCESSING: sizes.function(FunctionName.VECTOR_PROCESSING),
        Function.MODEL_VALIDATION: sizes.function(FunctionName.MODEL_VALIDATION),
        Function.AUTH: extra.auth,
        Function.AUTHORIZER: extra.authorizer,
        Function.WEBHOOKS: extra.webhooks,
        Function.WEBHOOK_SIGNER: extra.webhook_signer,
    }[function]


def _consume(stack: AnflStack, functions: Mapping[Function, PythonFunction], storage: StorageStack) -> None:
    """A message at a time: a chunk or a model fills a whole invocation."""
    for function, queue, at_once in (
        (Function.VECTOR_PROCESSING, storage.chunks.queue, CHUNKS_AT_ONCE),
        (Function.MODEL_VALIDATION, storage.validation.queue, None),
        (Function.WEBHOOKS, storage.webhooks.queue, None),
    ):
        lambda_.EventSourceMapping(
            stack,
            f"{camel(function)}Source",
            target=functions[function],
            event_source_arn=queue.queue_arn,
            batch_size=1,
            max_concurrency=at_once,
            report_batch_item_failures=True,
        )


def _rewrap(stack: AnflStack, functions: Mapping[Function, PythonFunction]) -> None:
    """After a rotation keys move to the new version by themselves: those of vectors, and those of webhooks' secrets."""
    for function in (Function.VECTOR_PROCESSING, Function.WEBHOOK_SIGNER):
        call_every(
            Construct(stack, f"{camel(function)}Rewrapping"),
            "Schedule",
            functions[function],
            minutes=REWRAPPING_MINUTES,
            target=function,
            description="Wrapped keys move to the active version",
            event={"operation": REWRAP_DUE},
        )
