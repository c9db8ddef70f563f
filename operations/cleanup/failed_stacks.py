"""Stacks that are of no use and block their next deployment."""

from collections.abc import Iterator
from functools import partial

from botocore.exceptions import ClientError

from operations import stacks
from operations.cleanup.finding import Action, Finding, Scope
from operations.cloud import code_of
from operations.errors import OperationError
from operations.stacks import Stack

_WHY = {
    "CREATE_FAILED": "its first deployment failed, and nothing was rolled back",
    "DELETE_FAILED": "it could not be deleted",
    "REVIEW_IN_PROGRESS": "its first deployment was prepared and never carried out",
    "ROLLBACK_COMPLETE": "its first deployment failed and was rolled back: it can only be deleted",
    "ROLLBACK_FAILED": "its first deployment failed, and so did the way back",
}


def failed(scope: Scope) -> Iterator[Finding]:
    """Those of the region, newest first: later ones use earlier ones."""
    here = [stack for stack in scope.failed if stack.region == scope.region]
    for stack in sorted(here, key=lambda stack: stack.created, reverse=True):
        held = _data_that_would_go(scope, stack)
        yield Finding(
            region=scope.region,
            kind="stack",
            name=stack.name,
            action=Action.LEAVE if held else Action.DELETE,
            why=f"{stack.status}: {_WHY[stack.status]}" + (f", but {held}, which would go with it" if held else ""),
            act=partial(_delete, scope, stack),
        )


def _delete(scope: Scope, found: Stack) -> None:
    """As it stands by now: a stack of its name may have been deployed since, and been well, or filled."""
    stack = stacks.find(scope.cloud, found.name, found.region)
    if stack is None:
        return
    if not stack.failed:
        raise OperationError(f"{stack.name} in {stack.region} is {stack.status} by now; look again.")
    if held := _data_that_would_go(scope, stack):
        raise OperationError(f"{held} by now; look again.")
    stacks.delete(scope.cloud, stack)


def _data_that_would_go(scope: Scope, stack: Stack) -> str | None:
    """A table with items that the stack would delete; S3 itself refuses to delete a bucket that holds anything."""
    dynamodb = scope.cloud.client("dynamodb", stack.region)
    for resource in stacks.resources(scope.cloud, stack):
        if resource.retained or resource.kind not in ("AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"):
            continue
        try:
            if dynamodb.scan(TableName=resource.physical_id, Limit=1, ConsistentRead=True)["Count"]:
                return f"its table {resource.physical_id} holds items"
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
    return None
