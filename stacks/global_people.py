"""The roles of people: who looks, who operates, and who opens what nobody opens on an ordinary day."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.camel import camel
from constructs.durations import seconds
from constructs.statements import Statement, attach, policy

from stacks.base import AnflStack
from stacks.deployment import People
from stacks.models import Settings
from stacks.people_access import may_look, may_open, may_operate
from stacks.vault_access import BREAK_GLASS

_FRESH_MFA_SECONDS = 900


class GlobalPeople(AnflStack):
    """Three roles under one permissions boundary; each is assumed from inside the account, with a second factor.

    None of them may change permissions, keys or stacks: those who deploy come by the CDK's own roles.
    """

    def __init__(self, scope: Construct, *, settings: Settings, people: People) -> None:
        """IAM is global: the stack stands in the primary region."""
        name = settings.name("global", "people")
        super().__init__(scope, name, settings=settings, region=settings.primary_region, description="roles of people")
        look, operate, emergency = may_look(), may_operate(self, settings), may_open(self, settings)
        boundary = iam.ManagedPolicy(
            self,
            "Boundary",
            managed_policy_name=settings.name("people-boundary"),
            description="What the roles of people can do at most, whatever is attached to them",
            document=policy(
                [
                    Statement(
                        sid="AtMost",
                        actions=sorted({action for s in (*look, *operate, *emergency) for action in s.actions}),
                        resources=["*"],
                    )
                ]
            ),
        )
        self._boundary = boundary
        hours = people.session
        self.reader = self._role("read-only", "Looks at everything but data", int(hours.total_seconds()), look)
        self.operator = self._role(
            "operator", "Restarts, redrives, starts recovery", int(hours.total_seconds()), [*look, *operate]
        )
        self.emergency = self._role(
            BREAK_GLASS,
            "Reads Vault's recovery keys and visits its nodes",
            int(people.emergency_session.total_seconds()),
            [*look, *emergency],
            conditions={"NumericLessThan": {"aws:MultiFactorAuthAge": str(_FRESH_MFA_SECONDS)}},
        )

    def _role(
        self,
        name: str,
        description: str,
        session: int,
        statements: Sequence[Statement],
        *,
        conditions: dict[str, dict[str, str]] | None = None,
    ) -> iam.Role:
        mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
        role = iam.Role(
            self,
            camel(name),
            role_name=self.settings.name(name),
            description=f"ANFL {self.settings.environment}: {description}",
            assumed_by=iam.AccountRootPrincipal().with_conditions(mfa | (conditions or {})),
            max_session_duration=seconds(session),
            permissions_boundary=self._boundary,
        )
        attach(role, statements)
        return role
