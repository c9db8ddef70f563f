"""Where a construct will stand: its region and account, and the names that AWS makes of them.

Asked of the CDK once for each construct: `Stack` answers from another process, and a synthesis put the same thousand
questions to it again and again.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from aws_cdk import Stack
from constructs import IConstruct

_known: WeakKeyDictionary[IConstruct, "Location"] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Location:
    """A region of the commercial partition, in the account of whoever deploys."""

    region: str
    account: str
    """A token wherever the stack is bound to none, so that the same templates serve every account."""

    def arn(self, service: str, resource: str, *, region: str | None = None, account: str | None = None) -> str:
        """``arn:aws:service:region:account:resource``; ``region`` and ``account`` are this location's unless given.

        Services that know no regions, or no accounts, in their names take an empty string.
        """
        where = self.region if region is None else region
        whose = self.account if account is None else account
        return f"arn:aws:{service}:{where}:{whose}:{resource}"

    def registry(self) -> str:
        """Host of the account's container registry."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"


def here(scope: IConstruct) -> Location:
    """Where the stack of ``scope`` will stand."""
    location = _known.get(scope)
    if location is None:
        stack = scope if isinstance(scope, Stack) else Stack.of(scope)
        location = Location(region=stack.region, account=stack.account) if stack is scope else here(stack)
        _known[scope] = location
    return location


def bucket_arn(name: str) -> str:
    """Of a bucket, in whichever region and account it stands."""
    return f"arn:aws:s3:::{name}"
