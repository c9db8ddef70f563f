"""Is the account ready: toolkit, stacks, service-linked roles, backup, people, logs?"""

from collections.abc import Iterator
from functools import partial

from deployment.preflight.account import Account, AnswerError
from deployment.preflight.leftovers import cleanup
from deployment.preflight.results import Check, Verdict, failed, ok, warning
from deployment.rollout import Rollout
from stacks.toolkit import CLI

_GLOBAL = "us-east-1"
_TOOLKIT = "/cdk-bootstrap/hnb659fds/version"
_USELESS = frozenset({"CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""States in which a stack can only be deleted."""
_POLICIES_A_REGION = 10
"""CloudWatch Logs' own limit on resource policies; it cannot be raised."""
_DELIVERY = "AWSLogDeliveryWrite20150319"
_LOG_POLICIES = {
    "AWS::APS::Workspace": _DELIVERY,
    "AWS::ElastiCache::ReplicationGroup": _DELIVERY,
    "AWS::Logs::Delivery": _DELIVERY,
    "AWS::StepFunctions::StateMachine": _DELIVERY,
    "AWS::WAFv2::LoggingConfiguration": "AWSWAF-LOGS",
}
"""Policies that AWS itself writes when such a resource sends it logs, unless they are there."""


def checks(account: Account, rollout: Rollout) -> Iterator[Check]:
    """Those of the account, then those of each region."""
    yield from _service_linked_roles(account, rollout)
    if rollout.of("AWS::Grafana::Workspace"):
        yield Check(id="people.identity-center", region=None, look=partial(identity_center, account, rollout))
    for region in rollout.regions:
        yield Check(id=f"toolkit.{region}", region=region, look=partial(toolkit, account, rollout, region))
        yield Check(id=f"stacks.{region}", region=region, look=partial(stacks, account, rollout, region))
        if rollout.of("AWS::Backup::BackupSelection", region=region):
            look = partial(backup_opt_in, account, rollout, region)
            yield Check(id=f"backup.opt-in.{region}", region=region, look=look)
        if any(rollout.of(kind, region=region) for kind in _LOG_POLICIES):
            look = partial(log_policies, account, rollout, region)
            yield Check(id=f"logs.resource-policies.{region}", region=region, look=look)
        if rollout.of("AWS::ApiGateway::Account", region=region):
            look = partial(gateway_role, account, rollout, region)
            yield Check(id=f"apigateway.log-role.{region}", region=region, look=look)


def toolkit(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether the CDK toolkit stands in the region, and is new enough."""
    remedy = f"npx {CLI} bootstrap aws://<account>/{region}"
    try:
        answer = account.ask("ssm", "get_parameter", region=region, Name=_TOOLKIT)
    except AnswerError as error:
        if error.code != "ParameterNotFound":
            raise
        return failed("the CDK toolkit is not there", remedy)
    version = int(answer["Parameter"]["Value"])
    found = f"CDK toolkit version {version}, {rollout.bootstrap_version} needed"
    return ok(found) if version >= rollout.bootstrap_version else failed(found, remedy)


def stacks(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether every stack that stands already can be updated."""
    own = [stack for stack in rollout.stacks if rollout.templates.regions[stack] == region]
    answer = account.ask_all("cloudformation", "describe_stacks", region=region, key="Stacks")
    states = {stack["StackName"]: stack["StackStatus"] for stack in answer if stack["StackName"] in own}
    useless = [f"{name} ({state})" for name, state in states.items() if state in _USELESS]
    if useless:
        return failed(f"cannot be updated: {', '.join(useless)}", f"{cleanup(rollout)} shows and removes them.")
    busy = [f"{name} ({state})" for name, state in states.items() if state.endswith("_IN_PROGRESS")]
    if busy:
        return failed(f"another deployment is at work: {', '.join(busy)}", "Wait until it has ended.")
    stuck = [f"{name} ({state})" for name, state in states.items() if state.endswith("_FAILED")]
    if stuck:
        return failed(
            f"cannot be updated: {', '.join(stuck)}", "Read the stack's events; continue the rollback, or roll back."
        )
    return ok(f"{len(states)} of {len(own)} stacks stand, none is in the way")


_ROLES = (
    # (resource type, service, role, whether AWS fails to make it in time by itself)
    ("AWS::ECS::Cluster", "ecs.amazonaws.com", "AWSServiceRoleForECS", True),
    ("AWS::AutoScaling::AutoScalingGroup", "autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling", True),
    ("AWS::ElastiCache::ReplicationGroup", "elasticache.amazonaws.com", "AWSServiceRoleForElastiCache", True),
    (
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        False,
    ),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        False,
    ),
    (
        "AWS::GlobalAccelerator::EndpointGroup",
        "globalaccelerator.amazonaws.com",
        "AWSServiceRoleForGlobalAccelerator",
        False,
    ),
    ("AWS::DynamoDB::GlobalTable", "replication.dynamodb.amazonaws.com", "AWSServiceRoleForDynamoDBReplication", False),
    ("AWS::ApiGatewayV2::VpcLink", "ops.apigateway.amazonaws.com", "AWSServiceRoleForAPIGateway", False),
    ("AWS::WAFv2::LoggingConfiguration", "wafv2.amazonaws.com", "AWSServiceRoleForWAFV2Logging", False),
    ("AWS::Backup::BackupPlan", "backup.amazonaws.com", "AWSServiceRoleForBackup", False),
    (
        "AWS::Backup::RestoreTestingPlan",
        "restore-testing.backup.amazonaws.com",
        "AWSServiceRoleForBackupRestoreTesting",
        False,
    ),
    ("AWS::Grafana::Workspace", "grafana.amazonaws.com", "AWSServiceRoleForAmazonGrafana", False),
)


def _service_linked_roles(account: Account, rollout: Rollout) -> Iterator[Check]:
    for kind, service, role, needed in _ROLES:
        if rollout.of(kind):
            yield Check(
                id=f"role.{role}",
                region=None,
                look=partial(service_linked_role, account, role=role, service=service, needed=needed),
            )


def service_linked_role(account: Account, *, role: str, service: str, needed: bool) -> Verdict:
    """Whether the role exists.

    :param needed: the first deployment fails without it: key policies name it, or the service wants it at once.
    """
    try:
        account.ask("iam", "get_role", region=_GLOBAL, RoleName=role)
    except AnswerError as error:
        if error.code != "NoSuchEntity":
            raise
        command = f"aws iam create-service-linked-role --aws-service-name {service}"
        if needed:
            return failed(f"{role} is missing, and the first deployment would fail without it", command)
        return warning(f"{role} is missing; AWS makes it when it is first needed", f"To be sure: {command}")
    return ok(f"{role} exists")


def _backed_up(rollout: Rollout, region: str) -> set[str]:
    """Resource types that the region's plans select: tables by name, everything else in them is a bucket."""
    found = set()
    for selection in rollout.of("AWS::Backup::BackupSelection", region=region):
        for resource in selection.get("BackupSelection.Resources") or []:
            found.add("DynamoDB" if ":table/" in str(resource) else "S3")
    return found


def backup_opt_in(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether AWS Backup may back up what the plans select, and copy tables to another region."""
    answer = account.ask("backup", "describe_region_settings", region=region)
    opted = answer.get("ResourceTypeOptInPreference", {})
    managed = answer.get("ResourceTypeManagementPreference", {})
    wanted = sorted(_backed_up(rollout, region))
    out = [kind for kind in wanted if not opted.get(kind)]
    plain = [kind for kind in wanted if kind == "DynamoDB" and not managed.get(kind)]
    if not out and not plain:
        return ok(f"AWS Backup is on for {', '.join(wanted)}")
    command = f"aws backup update-region-settings --region {region}"
    for option, kinds in (("opt-in", out), ("management", plain)):
        if kinds:  # one option for all of them: a second one would replace the first
            command += f" --resource-type-{option}-preference " + ",".join(f"{kind}=true" for kind in kinds)
    said = [f"AWS Backup is off for {kind}" for kind in out]
    said += [f"advanced features of backups are off for {kind}: no copy to another region" for kind in plain]
    return failed("; ".join(said), command)


def identity_center(account: Account, rollout: Rollout) -> Verdict:
    """Whether Grafana will find who signs people in."""
    providers = {
        provider
        for workspace in rollout.of("AWS::Grafana::Workspace")
        for provider in workspace.get("AuthenticationProviders") or []
    }
    regions = dict.fromkeys((*rollout.regions, _GLOBAL))
    for region in regions:
        instances = account.ask_all("sso-admin", "list_instances", region=region, key="Instances")
        if instances:
            return ok(f"IAM Identity Center stands in {region} ({instances[0]['InstanceArn'].rpartition('/')[2]})")
    found = f"no IAM Identity Center in {', '.join(regions)}"
    if "AWS_SSO" in providers:
        return failed(f"{found}, and Grafana signs people in by it", "Enable IAM Identity Center.")
    return warning(
        found,
        "Grafana signs people in by SAML: have an identity provider ready and set it up after the deployment.",
    )


def log_policies(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether CloudWatch Logs has room for the policies that AWS writes for those who deliver logs."""
    answer = account.ask_all("logs", "describe_resource_policies", region=region, key="resourcePolicies")
    present = {policy["policyName"] for policy in answer}
    wanted = {name for kind, name in _LOG_POLICIES.items() if rollout.of(kind, region=region)}
    missing = sorted(wanted - present)
    found = f"{len(present)} of {_POLICIES_A_REGION} log resource policies, {len(missing)} more needed"
    if len(present) + len(missing) <= _POLICIES_A_REGION:
        return ok(found)
    return failed(
        found,
        f"Remove what nobody needs: aws logs describe-resource-policies --region {region}. No quota can raise it.",
    )


def gateway_role(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether the deployment takes the one role by which a region's API Gateway writes logs from somebody else."""
    role = account.ask("apigateway", "get_account", region=region).get("cloudwatchRoleArn", "")
    name = role.rpartition("/")[2]
    if not name or any(name.startswith(f"{stack}-") for stack in rollout.stacks):
        return ok("nobody else's role writes API Gateway's logs")
    return warning(
        f"the region's API Gateway writes its logs by {role}; the deployment replaces that role",
        "See that other APIs of this account may live with it: there is one such role in a region.",
    )
