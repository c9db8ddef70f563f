"""Statements of identities' policies that name more than single resources, each with the reason."""

from dataclasses import dataclass

from stacks.layers import CLUSTERS, COPIER, FUNCTIONS, OUTSIDE, SERVICES, WATCH
from stacks.people_access import INVOKED
from stacks.units import Region


@dataclass(frozen=True, kw_only=True)
class Wildcard:
    """One statement that allows its actions on more than single named resources, in each of ``policies``."""

    policies: tuple[str, ...]
    """Paths that begin with the stack's layer (`stacks.layers`)."""
    statement: str
    """Its Sid, as a pattern, or its actions where the CDK gives it none."""
    resource: str
    """As cdk-nag writes it; ``{environment}`` and ``{region}`` stand for the stack's own."""
    elsewhere: Region | None = None
    """The region that the resource names, where the stacks of every other one name it, and its own do not."""
    despite: tuple[str, ...] = ()
    """Of its actions on ``*`` those that AWS could hold to some kind of resource, as patterns; of no other it could."""
    reason: str


def _of(*roles: str) -> tuple[str, ...]:
    """The policies that the CDK makes for ``roles``."""
    return tuple(f"{role}/DefaultPolicy/Resource" for role in roles)


_VECTORS = "arn:aws:s3:::anfl-{environment}-vectors-<AWS::AccountId>-{region}/*"
_ARTIFACTS = "arn:aws:s3:::anfl-{environment}-artifacts-<AWS::AccountId>-{region}/*"
_INSTANCES = "arn:aws:ecs:{region}:<AWS::AccountId>:container-instance/anfl-{environment}"
_REPLICATION = ("replication/Replication/Permissions/Resource",)
_REGIONS = tuple(Region)
_PEOPLE = ("global-people/ReadOnly", "global-people/Operator", "global-people/BreakGlass")
_LISTENER = (
    '{{"Fn::GetStackOutput":{{"StackName":"anfl-prod-global-edge","Region":"us-east-1",'
    '"OutputName":"PublishOutputFnGetAttIngestListener50CA0723ListenerArnAED8B642"}}}}'
)
"""Of the accelerator, in the stack of the global edge."""
_OBJECTS = "all objects of one bucket: their keys are named by what callers store"

WILDCARDS = (
    Wildcard(
        policies=_of(*(f"{function}Role" for function in FUNCTIONS)),
        statement="NetworkInterfaces",
        resource="*",
        despite=(
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:UnassignPrivateIpAddresses",
        ),
        reason="Lambda attaches the function to its subnets; it demands these of a role, and EC2 names no interface "
        "before it exists. A second statement denies them to the function's own code",
    ),
    Wildcard(
        policies=_of(*(f"{function}Role" for function in (*FUNCTIONS, *OUTSIDE))),
        statement="Trace",
        resource="*",
        reason="X-Ray has no resources to name: both actions write traces of the caller",
    ),
    Wildcard(
        policies=_of("service/VectorProcessingFunctionRole", "service/VectorStoreService/TaskRole"),
        statement="BucketVectorsWrite",
        resource=_VECTORS,
        reason=_OBJECTS,
    ),
    Wildcard(
        policies=_of("service/ModelValidationFunctionRole"),
        statement="BucketArtifactsRead",
        resource=_ARTIFACTS,
        reason=_OBJECTS,
    ),
    Wildcard(
        policies=_of("service/ModelRegistryService/TaskRole"),
        statement="BucketArtifactsWrite",
        resource=_ARTIFACTS,
        reason=_OBJECTS,
    ),
    Wildcard(
        policies=_of("service/VectorStoreService/TaskRole", f"{WATCH}Role"),
        statement="PublishMetrics",
        resource="*",
        despite=("cloudwatch:PutMetricData",),
        reason="a metric is no resource that could be named; a condition holds this to the namespace ANFL",
    ),
    Wildcard(
        policies=_of(*(f"{service}/ExecutionRole" for service in SERVICES)),
        statement="RegistryLogin",
        resource="*",
        reason="ECR gives its login to the account, not to a repository; images come from one repository alone",
    ),
    Wildcard(
        policies=_of(*(f"{cluster}/InstanceRole" for cluster in CLUSTERS)),
        statement="Discover",
        resource="*",
        reason="ECS tells every agent the same address and names no resource of the question",
    ),
    *(
        Wildcard(
            policies=_of(f"{cluster}/InstanceRole"),
            statement="Work",
            resource=f"{_INSTANCES}-{name}/*",
            reason="instances of one cluster: each gets its id when it registers",
        )
        for cluster, name in zip(CLUSTERS, ("vector-processing", "model-registry"), strict=True)
    ),
    *(
        Wildcard(policies=_REPLICATION, statement="ReadVersions", resource=resource, reason=_OBJECTS)
        for resource in (_VECTORS, _ARTIFACTS)
    ),
    *(
        Wildcard(
            policies=_REPLICATION,
            statement=f"WriteReplicas{region.title().replace('-', '')}",
            resource=resource.replace("{region}", region),
            reason="replicas of all objects of one bucket, in another region",
        )
        for region in _REGIONS
        for resource in (_VECTORS, _ARTIFACTS)
    ),
    *(
        Wildcard(
            policies=_of(f"{COPIER}Role"),
            statement=f"ReadElsewhere{region.title().replace('-', '')}",
            resource=_VECTORS.replace("{region}", region),
            elsewhere=region,
            reason=_OBJECTS,
        )
        for region in _REGIONS
    ),
    Wildcard(
        policies=_of(f"{COPIER}Role"),
        statement="PutCopies",
        resource=_VECTORS.replace("/*", "/_copies/*"),
        reason="copies of objects: their keys are named by what callers store",
    ),
    Wildcard(
        policies=_of("vault/BootstrapRole"),
        statement="Look",
        resource="*",
        reason="EC2 and SSM name no resource of either question; the answers are read, nothing is changed",
    ),
    Wildcard(
        policies=_of("vault/BootstrapRole"),
        statement="WipeThisCluster",
        resource="arn:aws:ec2:{region}:<AWS::AccountId>:instance/*",
        reason="nodes come and go under ids of EC2's; a condition demands the tag of this cluster, and a second "
        "statement allows one document alone",
    ),
    Wildcard(
        policies=_of("vault/Nodes/Role"),
        statement="Fellows",
        resource="*",
        reason="EC2 names no resource of the question by which nodes find one another",
    ),
    Wildcard(
        policies=_of("vault/Nodes/Role"),
        statement="SessionManager",
        resource="*",
        despite=("ssm:UpdateInstanceInformation",),
        reason="channels of Session Manager have no names; an instance says how it is, and has no id before it starts",
    ),
    Wildcard(
        policies=_of("vault/Nodes/Role"),
        statement="Started",
        resource="arn:aws:cloudformation:{region}:<AWS::AccountId>:stack/anfl-{environment}-{region}-vault/*",
        reason="CloudFormation ends the ARN of a stack with an id of its own; nodes say of this one that they are well",
    ),
    Wildcard(
        policies=_of("vault/Nodes/Role"),
        statement="Snapshots",
        resource="<SnapshotsD03D071C.Arn>/snapshots/*",
        reason="snapshots are named by the time at which they were taken; they may be put there, not read",
    ),
    Wildcard(
        policies=_of("recovery/Recovery/Role"),
        statement="DeliverLogs",
        resource="*",
        reason="Step Functions has a workflow's log delivered by its role; AWS names no resource of any of these",
    ),
    Wildcard(
        policies=_of("recovery/Recovery/Role"),
        statement="Trace",
        resource="*",
        reason="X-Ray has no resources to name: traces of the workflow, and how many of them to write",
    ),
    Wildcard(
        policies=_of("recovery/Recovery/Role"),
        statement="RaiseScaling",
        resource="arn:aws:application-autoscaling:{region}:<AWS::AccountId>:scalable-target/*",
        reason="the id of a scalable target is generated; a condition holds this to services of ECS",
    ),
    Wildcard(
        policies=_of("recovery/DialRole"),
        statement="TurnDial",
        resource=f"{_LISTENER}/endpoint-group/*",
        reason="endpoint groups come with their regions, later, under ids that Global Accelerator makes up",
    ),
    Wildcard(
        policies=("global-people/Boundary/Resource",),
        statement="AtMost",
        resource="*",
        despite=("*",),
        reason="a boundary grants nothing; resources are named by what the three roles are granted",
    ),
    Wildcard(
        policies=_of(*_PEOPLE),
        statement="Look*",
        resource="*",
        despite=("*",),
        reason="who looks for a fault sees lists and descriptions of the whole account, and neither data nor secret",
    ),
    *(
        Wildcard(
            policies=_of("global-people/Operator"),
            statement=statement,
            resource=f"arn:aws:{resource}",
            reason="operators act in every region, on what bears this environment's name",
        )
        for statement, resource in (
            ("Restart", "ecs:*:<AWS::AccountId>:service/anfl-{environment}-*/*"),
            ("Restart", "ecs:*:<AWS::AccountId>:task/anfl-{environment}-*/*"),
            ("Redrive", "sqs:*:<AWS::AccountId>:anfl-{environment}-*"),
            ("Recover", "states:*:<AWS::AccountId>:stateMachine:anfl-{environment}-*"),
            ("Recover", "states:*:<AWS::AccountId>:execution:anfl-{environment}-*"),
            ("Silence", "cloudwatch:*:<AWS::AccountId>:alarm:anfl-{environment}-*"),
            ("Drain", "ssm:*:<AWS::AccountId>:parameter/anfl/{environment}/drained/*"),
            *(("Invoke", f"lambda:*:<AWS::AccountId>:function:anfl-{{environment}}-{name}") for name in INVOKED),
        )
    ),
    Wildcard(
        policies=_of("global-people/Operator"),
        statement="RedriveKey",
        resource="arn:aws:kms:*:<AWS::AccountId>:key/*",
        reason="conditions hold this to keys with the data key's alias, by way of SQS: of keys only ids are in an ARN",
    ),
    *(
        Wildcard(policies=_of("global-people/BreakGlass"), statement=statement, resource=resource, reason=reason)
        for statement, resource, reason in (
            (
                "RecoveryRecord",
                "arn:aws:secretsmanager:*:<AWS::AccountId>:secret:Recovery*",
                "one secret a region, with a generated end to its name; a condition demands this environment's tags",
            ),
            (
                "RecoveryKey",
                "arn:aws:kms:*:<AWS::AccountId>:key/*",
                "conditions hold this to keys with the seal's alias: of keys only ids are in an ARN",
            ),
            (
                "Snapshots",
                "arn:aws:s3:::anfl-{environment}-vault-snapshots-<AWS::AccountId>-*/snapshots/*",
                "Vault's snapshots of every region, each named by its time",
            ),
            (
                "VisitNodes",
                "arn:aws:ec2:*:<AWS::AccountId>:instance/*",
                "nodes come and go under ids of EC2's; a condition demands the tag of Vault's cluster",
            ),
            (
                "VisitByShell",
                "arn:aws:ssm:*:<AWS::AccountId>:document/SSM-SessionManagerRunShell",
                "one document of Session Manager, in every region",
            ),
            (
                "OwnSessions",
                "arn:aws:ssm:*:<AWS::AccountId>:session/<aws:userid>-*",
                "sessions of the caller: their names begin with the caller's id and end at random",
            ),
        )
    ),
    Wildcard(
        policies=_of("telemetry/Grafana/Role"),
        statement="FindPrometheus",
        resource="*",
        reason="Amazon Managed Prometheus lists workspaces of an account; names and tags, no measurement",
    ),
    Wildcard(
        policies=_of("telemetry/Grafana/Role"),
        statement="ReadCloudWatch",
        resource="*",
        despite=("cloudwatch:GetMetricData", "cloudwatch:ListMetrics"),
        reason="a metric is no resource that could be named; Grafana shows whatever the account measures",
    ),
    *(
        Wildcard(
            policies=_of("telemetry/Grafana/Role"),
            statement="ReadPrometheus",
            resource=f"arn:aws:aps:{region}:<AWS::AccountId>:workspace/*",
            reason="ids of workspaces are generated and stay in their regions; a condition demands this project's tags",
        )
        for region in _REGIONS
    ),
)
"""Statements of identities' policies, alone in naming more than single resources."""
