"""What cdk-nag (AwsSolutions) finds and what stands all the same: each finding on its construct, with the reason.

Two tables, this and `stacks.wildcards`, read by `acknowledge` and by the tests, which fail for a finding that is not in
them and for an entry that nothing needs any more. A reason is a statement that can be wrong; ``proof`` names the test
that fails when it is.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aws_cdk import Acknowledgment, App, Stack, Validations
from constructs import IConstruct

from stacks.layers import CLUSTERS, FUNCTIONS, OUTSIDE, SERVICES, layer_of
from stacks.models import Settings
from stacks.wildcards import WILDCARDS

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


_ROLE_OF_ONE_SERVICE = "test_a_managed_policy_is_held_by_a_role_that_one_aws_service_may_take"

ACKNOWLEDGEMENTS = (
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
        constructs=tuple(f"{function}/Resource" for function in (*FUNCTIONS, *OUTSIDE)),
        rule="AwsSolutions-L1",
        reason="Python 3.13, as everywhere in the project; AWS creates functions with it until July 2029",
        proof="test_runtime_and_entry_point",
    ),
    Acknowledgement(
        constructs=tuple(f"{service}/Task" for service in SERVICES),
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
        constructs=("vault/NodeCertificate",),
        rule="AwsSolutions-SMG4",
        reason="ACM renews what it holds, and a function brings it over within the hour",
        proof="test_the_certificate_is_brought_to_the_nodes_alone",
        environments=(PROD,),
    ),
    Acknowledgement(
        constructs=tuple(f"{cluster}/Instances" for cluster in CLUSTERS),
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
    ),
    Acknowledgement(
        constructs=("storage/Cache/Nodes",),
        rule="AwsSolutions-AEC4",
        reason="what the cache holds may be lost: with its one node dev loses decisions and buckets, and goes on",
        proof="test_devs_cache_is_one_small_node_behind_the_same_doors",
        environments=(DEV,),
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
"""All but the wildcards."""


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


def _entries(environment: str, region: str) -> Iterator[tuple[str, str, str]]:
    for wildcard in (each for each in WILDCARDS if each.elsewhere != region):
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
