"""The roles of people: who looks, who operates, and who opens what nobody opens on an ordinary day."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from anfl.resources import VAULT_TAG, Function
from stacks.base import AnflStack
from stacks.models import People, Settings
from stacks.people_access import LOOK
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
        look, operate, emergency = self._look(), self._operate(), self._emergency()
        boundary = iam.ManagedPolicy(
            self,
            "Boundary",
            managed_policy_name=settings.name("people-boundary"),
            description="What the roles of people can do at most, whatever is attached to them",
            document=iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(
                        sid="AtMost",
                        actions=sorted({action for s in (*look, *operate, *emergency) for action in s.actions}),
                        resources=["*"],
                    )
                ]
            ),
        )
        self._boundary = boundary
        hours = people.session
        self.reader = self._role("read-only", "Looks at everything but data", hours.total_seconds(), look)
        self.operator = self._role(
            "operator", "Restarts, redrives, starts recovery", hours.total_seconds(), [*look, *operate]
        )
        self.emergency = self._role(
            BREAK_GLASS,
            "Reads Vault's recovery keys and visits its nodes",
            people.emergency_session.total_seconds(),
            [*look, *emergency],
            conditions={"NumericLessThan": {"aws:MultiFactorAuthAge": str(_FRESH_MFA_SECONDS)}},
        )

    def _role(
        self,
        name: str,
        description: str,
        seconds: float,
        statements: Sequence[iam.PolicyStatement],
        *,
        conditions: dict[str, dict[str, str]] | None = None,
    ) -> iam.Role:
        mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
        role = iam.Role(
            self,
            "".join(part.capitalize() for part in name.split("-")),
            role_name=self.settings.name(name),
            description=f"ANFL {self.settings.environment}: {description}",
            assumed_by=iam.AccountRootPrincipal().with_conditions(mfa | (conditions or {})),
            max_session_duration=Duration.seconds(seconds),
            permissions_boundary=self._boundary,
        )
        for statement in statements:
            role.add_to_policy(statement.copy())
        return role

    def _look(self) -> list[iam.PolicyStatement]:
        """Lists and descriptions, which AWS scopes to nothing; metrics, traces and logs; no data, no secret."""
        return [
            iam.PolicyStatement(sid=f"Look{service}", actions=list(actions), resources=["*"])
            for service, actions in LOOK.items()
        ]

    def _operate(self) -> list[iam.PolicyStatement]:
        own = self.settings.name()
        functions = [self._everywhere("lambda", "function", self.settings.name(name), colon=True) for name in Function]
        queues = f"arn:{self.partition}:sqs:*:{self.account}:{own}-*"
        return [
            iam.PolicyStatement(
                sid="Restart",
                actions=["ecs:StopTask", "ecs:UpdateService"],
                resources=[
                    self._everywhere("ecs", "service", f"{own}-*/*"),
                    self._everywhere("ecs", "task", f"{own}-*/*"),
                ],
            ),
            iam.PolicyStatement(
                sid="Redrive",
                actions=[
                    "sqs:CancelMessageMoveTask",
                    "sqs:DeleteMessage",
                    "sqs:ReceiveMessage",
                    "sqs:SendMessage",
                    "sqs:StartMessageMoveTask",
                ],
                resources=[queues],
            ),
            iam.PolicyStatement(
                sid="RedriveKey",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[self._everywhere("kms", "key", "*")],
                conditions={
                    "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{self.settings.name('data')}"},
                    "StringLike": {"kms:ViaService": "sqs.*.amazonaws.com"},
                },
            ),
            iam.PolicyStatement(sid="Invoke", actions=["lambda:InvokeFunction"], resources=functions),
            iam.PolicyStatement(
                sid="Recover",
                actions=["states:StartExecution", "states:StopExecution"],
                resources=[
                    self._everywhere("states", kind, f"{own}-*", colon=True) for kind in ("stateMachine", "execution")
                ],
            ),
            iam.PolicyStatement(
                sid="Silence",
                actions=["cloudwatch:DisableAlarmActions", "cloudwatch:EnableAlarmActions"],
                resources=[self._everywhere("cloudwatch", "alarm", f"{own}-*", colon=True)],
            ),
        ]

    def _emergency(self) -> list[iam.PolicyStatement]:
        tags = {f"aws:ResourceTag/{name}": value for name, value in self.settings.tags.items()}
        seal = {"kms:ResourceAliases": f"alias/{self.settings.name('vault-seal')}"}
        snapshots = f"arn:{self.partition}:s3:::{self.settings.name('vault-snapshots')}-{self.account}-*"
        return [
            iam.PolicyStatement(
                sid="RecoveryRecord",
                actions=["secretsmanager:GetSecretValue"],
                resources=[self._everywhere("secretsmanager", "secret", "Recovery*", colon=True)],
                conditions={"StringEquals": tags},
            ),
            iam.PolicyStatement(
                sid="RecoveryKey",
                actions=["kms:Decrypt"],
                resources=[self._everywhere("kms", "key", "*")],
                conditions={
                    "ForAnyValue:StringEquals": seal,
                    "StringLike": {"kms:ViaService": ["secretsmanager.*.amazonaws.com", "s3.*.amazonaws.com"]},
                },
            ),
            iam.PolicyStatement(sid="Snapshots", actions=["s3:GetObject"], resources=[f"{snapshots}/snapshots/*"]),
            iam.PolicyStatement(
                sid="VisitNodes",
                actions=["ssm:StartSession"],
                resources=[self._everywhere("ec2", "instance", "*")],
                conditions={"StringEquals": {f"ssm:resourceTag/{VAULT_TAG}": self.settings.name()}},
            ),
            iam.PolicyStatement(
                sid="VisitByShell",
                actions=["ssm:StartSession"],
                resources=[self._everywhere("ssm", "document", "SSM-SessionManagerRunShell")],
            ),
            iam.PolicyStatement(
                sid="OwnSessions",
                actions=["ssm:ResumeSession", "ssm:TerminateSession"],
                resources=[f"arn:{self.partition}:ssm:*:{self.account}:session/${{aws:userid}}-*"],
            ),
        ]

    def _everywhere(self, service: str, resource: str, name: str, *, colon: bool = False) -> str:
        """An ARN in any region of this account."""
        return self.format_arn(
            service=service,
            region="*",
            resource=resource,
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME if colon else ArnFormat.SLASH_RESOURCE_NAME,
        )
