"""What cdk-nag (AwsSolutions) finds and what stands all the same: each finding on its construct, with the reason.

Two tables, read by `acknowledge` and by the tests, which fail for a finding that is not in them and for an entry that
nothing needs any more. A reason is a statement that can be wrong; ``proof`` names the test that fails when it is.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aws_cdk import Acknowledgment, App, Stack, Validations
from constructs import IConstruct

from anfl.resources import Function
from stacks.models import Settings
from stacks.units import Region

PROD, DEV = "prod", "dev"


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """One finding of one rule, on each of ``constructs``."""

    constructs: tuple[str, ...]
    """Paths that begin with the stack's layer: its name without project, environment and region. The last part may be
    a pattern over names of siblings."""
    rule: str
    reason: str
    proof: str
    environments: tuple[str, ...] = (PROD, DEV)


@dataclass(frozen=True, kw_only=True)
class Wildcard:
    """One statement that allows its actions on more than single named resources, in each of ``policies``."""

    policies: tuple[str, ...]
    """Paths as in `Acknowledgement`."""
    statement: str
    """Its Sid, as a pattern, or its actions where the CDK gives it none."""
    resource: str
    """As cdk-nag writes it; ``{environment}`` and ``{region}`` stand for the stack's own."""
    despite: tuple[str, ...] = ()
    """Of its actions on ``*`` those that AWS could hold to some kind of resource, as patterns; of no other it could."""
    reason: str


def _of(*roles: str) -> tuple[str, ...]:
    """The policies that the CDK makes for ``roles``."""
    return tuple(f"{role}/DefaultPolicy/Resource" for role in roles)


_FUNCTIONS = (
    "service/VectorProcessingFunction",
    "service/ModelValidationFunction",
    "service/AuthFunction",
    "service/AuthorizerFunction",
    "replication/Function",
    "vault/Bootstrap",
)
_WATCH = "global-watch/Watch"
"""A function too, outside any network."""
_SERVICES = ("service/VectorStoreService", "service/ModelRegistryService")
_CLUSTERS = ("service/VectorProcessingCluster", "service/ModelRegistryCluster")
_VECTORS = "arn:aws:s3:::anfl-{environment}-vectors-<AWS::AccountId>-{region}/*"
_ARTIFACTS = "arn:aws:s3:::anfl-{environment}-artifacts-<AWS::AccountId>-{region}/*"
_INSTANCES = "arn:aws:ecs:{region}:<AWS::AccountId>:container-instance/anfl-{environment}"
_REPLICATION = ("replication/Replication/Permissions/Resource",)
_REGIONS = tuple(Region)
_PEOPLE = ("global-people/ReadOnly", "global-people/Operator", "global-people/BreakGlass")
_OBJECTS = "all objects of one bucket: their keys are named by what callers store"
_ROLE_OF_ONE_SERVICE = "test_a_managed_policy_is_held_by_a_role_that_one_aws_service_may_take"

WILDCARDS = (
    Wildcard(
        policies=_of(*(f"{function}Role" for function in _FUNCTIONS)),
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
        policies=_of(*(f"{function}Role" for function in (*_FUNCTIONS, _WATCH))),
        statement="xray:PutTelemetryRecords,xray:PutTraceSegments",
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
        policies=_of("service/VectorStoreService/TaskRole", f"{_WATCH}Role"),
        statement="PublishMetrics",
        resource="*",
        despite=("cloudwatch:PutMetricData",),
        reason="a metric is no resource that could be named; a condition holds this to the namespace ANFL",
    ),
    Wildcard(
        policies=_of(*(f"{service}/ExecutionRole" for service in _SERVICES)),
        statement="RegistryLogin",
        resource="*",
        reason="ECR gives its login to the account, not to a repository; images come from one repository alone",
    ),
    Wildcard(
        policies=_of(*(f"{cluster}/InstanceRole" for cluster in _CLUSTERS)),
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
        for cluster, name in zip(_CLUSTERS, ("vector-processing", "model-registry"), strict=True)
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
            *(("Invoke", f"lambda:*:<AWS::AccountId>:function:anfl-{{environment}}-{name}") for name in Function),
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
        policies=_of("monitoring/Grafana/Role"),
        statement="FindPrometheus",
        resource="*",
        reason="Amazon Managed Prometheus lists workspaces of an account; names and tags, no measurement",
    ),
    Wildcard(
        policies=_of("monitoring/Grafana/Role"),
        statement="ReadCloudWatch",
        resource="*",
        despite=("cloudwatch:GetMetricData", "cloudwatch:ListMetrics"),
        reason="a metric is no resource that could be named; Grafana shows whatever the account measures",
    ),
    *(
        Wildcard(
            policies=_of("monitoring/Grafana/Role"),
            statement="ReadPrometheus",
            resource=f"arn:aws:aps:{region}:<AWS::AccountId>:workspace/*",
            reason="ids of workspaces are generated and stay in their regions; a condition demands this project's tags",
        )
        for region in _REGIONS
    ),
)
"""Statements of identities' policies, alone in naming more than single resources."""

ACKNOWLEDGEMENTS = (
    Acknowledgement(
        constructs=("service/Api/Routes/[A-Z]*",),
        rule="AwsSolutions-COG4",
        reason="callers are checked by the authorizer function, which asks Vault; there is no Cognito pool",
        proof="test_every_route_but_the_public_ones_asks_the_authorizer",
    ),
    Acknowledgement(
        constructs=tuple(
            f"service/Api/Routes/{route}"
            for route in ("POST :v1:auth:token", "GET :v1:auth:jwks.json", "GET :v1:openapi.json")
        ),
        rule="AwsSolutions-APIG4",
        reason="a caller without a token gets one here, for a credential that is checked; the others are public",
        proof="test_every_route_but_the_public_ones_asks_the_authorizer",
    ),
    Acknowledgement(
        constructs=("service/Api/Api",),
        rule="AwsSolutions-APIG2",
        reason="the service behind a route checks the whole body and names the wrong field and row; a model of the "
        "gateway could say neither, and bodies are binary to it",
        proof="test_a_wrong_body_is_told_where",
    ),
    Acknowledgement(
        constructs=("service/Api/Stage",),
        rule="AwsSolutions-APIG6",
        reason="the access log has a line for each request; execution logs would go to a group that API Gateway "
        "makes, without the key and kept for ever",
        proof="test_the_stage_is_throttled_measured_and_logged_without_secrets",
    ),
    Acknowledgement(
        constructs=("service/Api/Stage",),
        rule="AwsSolutions-APIG3",
        reason="dev is used by its developers and pays for no firewall",
        proof="test_dev_has_no_firewall",
        environments=(DEV,),
    ),
    Acknowledgement(
        constructs=tuple(f"{function}/Resource" for function in (*_FUNCTIONS, _WATCH)),
        rule="AwsSolutions-L1",
        reason="Python 3.13, as everywhere in the project; AWS creates functions with it until July 2029",
        proof="test_runtime_and_entry_point",
    ),
    Acknowledgement(
        constructs=tuple(f"{service}/Task" for service in _SERVICES),
        rule="AwsSolutions-ECS2",
        reason="the variables are names and addresses of this template, no secret",
        proof="test_services_are_told_what_they_need_and_no_more",
    ),
    Acknowledgement(
        constructs=("vault/Nodes/Group",),
        rule="AwsSolutions-AS3",
        reason="a node that comes or goes is replaced by the group and found by the others; how Vault fares, it says "
        "itself to its group as it starts",
        proof="test_nodes_are_replaced_one_at_a_time_and_each_waits_until_the_cluster_is_well",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("vault/Entry/Balancer",),
        rule="AwsSolutions-ELB2",
        reason="Vault's own audit log has every request, with who made it; a network balancer would note connections",
        proof="test_the_audit_log_leaves_the_node",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("vault/Snapshots/Resource",),
        rule="AwsSolutions-S1",
        reason="nodes write and nobody of the system reads; whoever restores does so by hand, as the runbook says",
        proof="test_nodes_may_put_snapshots_away_and_never_read_them",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("vault/Recovery",),
        rule="AwsSolutions-SMG4",
        reason="what Vault gave out when it was initialised: a new value here would not be the cluster's",
        proof="test_only_the_bootstrap_and_the_emergency_read_the_recovery_record",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=tuple(f"{cluster}/Instances" for cluster in _CLUSTERS),
        rule="AwsSolutions-AS3",
        reason="nobody acts on an instance that comes or goes: the capacity provider adds them as tasks need them, "
        "and too few healthy tasks ring as service_down",
        proof="test_alarms_watch_what_is_deployed",
    ),
    Acknowledgement(
        constructs=("service/Balancer/Balancer",),
        rule="AwsSolutions-ELB2",
        reason="dev has API Gateway's access log alone, and no way in past it",
        proof="test_prods_balancer_notes_every_request_where_elb_alone_may_write",
        environments=(DEV,),
    ),
    Acknowledgement(
        constructs=("service/BalancerLogs/Resource",),
        rule="AwsSolutions-S1",
        reason="holds logs itself; only the delivery of logs may write to it",
        proof="test_prods_balancer_notes_every_request_where_elb_alone_may_write",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("edge/Clients",),
        rule="AwsSolutions-EC23",
        reason="Global Accelerator keeps clients' addresses, so the balancer's group sees the world; the balancer "
        "itself has no public address",
        proof="test_only_the_balancer_takes_calls_from_anywhere_and_by_https_alone",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("storage/Vectors/Resource", "storage/Artifacts/Resource"),
        rule="AwsSolutions-S1",
        reason="objects are read and written by the roles of this region's functions and services alone",
        proof="test_functions_may_do_what_their_work_needs_and_no_more",
    ),
    Acknowledgement(
        constructs=("storage/Cache/Nodes",),
        rule="AwsSolutions-AEC6",
        reason="no shared password: a user group admits identities that IAM has checked",
        proof="test_only_an_iam_identity_enters_the_cache",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("security/GatewayLogging/Resource",),
        rule="AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]",
        reason="API Gateway refuses a role that lacks an action of this policy for any log group; it alone takes it",
        proof=_ROLE_OF_ONE_SERVICE,
    ),
    *(
        Acknowledgement(
            constructs=("recovery/BackupRole/Resource",),
            rule=f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{policy}]",
            reason="AWS keeps it in step with what AWS Backup does for each kind of resource; AWS Backup alone takes "
            "the role",
            proof=_ROLE_OF_ONE_SERVICE,
        )
        for policy in (
            "service-role/AWSBackupServiceRolePolicyForBackup",
            "service-role/AWSBackupServiceRolePolicyForRestores",
            "AWSBackupServiceRolePolicyForS3Backup",
            "AWSBackupServiceRolePolicyForS3Restore",
        )
    ),
    Acknowledgement(
        constructs=("global-edge/Documentation/Resource",),
        rule="AwsSolutions-S1",
        reason="read by the one distribution alone, whose own log has each request",
        proof="test_the_bucket_is_read_by_this_distribution_alone",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("global-edge/Edge-Logs/Resource",),
        rule="AwsSolutions-S1",
        reason="holds logs itself; only the delivery of logs may write to it",
        proof="test_flow_logs_may_be_written_before_they_are_switched_on",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("global-edge/Site/Distribution",),
        rule="AwsSolutions-CFR1",
        reason="documentation is for readers of every country; they may only read",
        proof="test_readers_may_only_read",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=("global-edge/Site/Distribution",),
        rule="AwsSolutions-CFR3",
        reason="logged by a delivery to CloudWatch Logs, which the rule does not know",
        proof="test_what_readers_ask_is_logged_without_queries_and_cookies",
        environments=(PROD,),
    ),
)
"""Everything else."""


def acknowledge(app: App, settings: Settings) -> set[tuple[str, str]]:
    """Write both tables onto the constructs of ``app``; the path and rule of each acknowledgement that was made."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    constructs: dict[str, IConstruct] = {}
    for stack in (child for child in app.node.children if isinstance(child, Stack)):
        layer = layer_of(stack.node.id, settings.environment)
        for path, rule, reason in _entries(settings.environment, stack.region):
            if path.startswith(f"{layer}/"):
                for construct in _find(stack, path.removeprefix(f"{layer}/")):
                    constructs[construct.node.path] = construct
                    reasons[construct.node.path, rule].append(reason)
    for (path, rule), why in reasons.items():
        Validations.of(constructs[path]).acknowledge(Acknowledgment(id=rule, reason="; ".join(why)))
    return set(reasons)


def layer_of(name: str, environment: str) -> str:
    """``service`` of ``anfl-prod-us-west-1-service``, ``replication`` of ``anfl-prod-replication-us-west-1``."""
    for region in Region:
        name = name.replace(f"-{region}", "")
    return name.removeprefix(f"anfl-{environment}-")


def _entries(environment: str, region: str) -> Iterator[tuple[str, str, str]]:
    for wildcard in WILDCARDS:
        resource = wildcard.resource.format(environment=environment, region=region)
        for path in wildcard.policies:
            yield path, f"AwsSolutions-IAM5[Resource::{resource}]", wildcard.reason
    for entry in ACKNOWLEDGEMENTS:
        if environment in entry.environments:
            for path in entry.constructs:
                yield path, entry.rule, entry.reason


def _find(stack: Stack, path: str) -> list[IConstruct]:
    """What stands at ``path``: nothing where an environment does without it."""
    *parents, last = path.split("/")
    parent: IConstruct = stack
    for part in parents:
        child = parent.node.try_find_child(part)
        if child is None:
            return []
        parent = child
    if "*" in last:
        return [child for child in parent.node.children if fnmatchcase(child.node.id, last)]
    child = parent.node.try_find_child(last)
    return [] if child is None else [child]
