"""What was found, and what would be done about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import ClientError

from operations.cloud import Cloud, code_of
from operations.stacks import Stack


class Action(StrEnum):
    """What is done with a finding."""

    DELETE = "delete"
    CANCEL = "cancel its deletion"
    LEAVE = "leave"


def nothing() -> None:
    """What is done with something that is left."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is left over."""

    region: str
    kind: str
    name: str
    action: Action
    why: str
    act: Callable[[], None] = nothing
    """Does it, if it still holds; done already where somebody else did it.

    :raises ClientError: AWS refuses.
    """

    def as_row(self) -> dict[str, str]:
        """For a table or JSON."""
        return {
            "action": self.action.value,
            "kind": self.kind,
            "name": self.name,
            "region": self.region,
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where to look, and what must not be touched."""

    cloud: Cloud
    environment: str
    region: str
    owned: frozenset[str]
    """Physical ids in stacks of the environment that are well, in any region: a replica of a table has the name of the
    table."""
    failed: tuple[Stack, ...]
    """Stacks of the environment that are of no use, in any region."""

    @property
    def prefix(self) -> str:
        """Of the names of the environment's resources."""
        return f"anfl-{self.environment}-"

    def is_free(self, physical_id: str) -> bool:
        """Whether no stack has it, or only one that is of no use.

        :raises ClientError: AWS does not say.
        """
        if physical_id in self.owned:
            return False
        try:
            answer = self.cloud.client("cloudformation", self.region).describe_stack_resources(
                PhysicalResourceId=physical_id
            )
        except ClientError as error:
            if code_of(error) == "ValidationError":  # no stack has it
                return True
            raise
        useless = {stack.name for stack in self.failed if stack.region == self.region}
        return all(found["StackName"] in useless for found in answer["StackResources"])
