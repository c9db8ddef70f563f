"""Who guards which deploy-time trap: what synthesizes, passes for right, and fails or does nothing when deployed.

``.venv/bin/python -m tests.infrastructure.traps`` prints it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.infrastructure.estate import Estate, Verdict
from tests.infrastructure.traps.rules import backup, compute, data, deployment, edge, keys, network
from tests.infrastructure.traps.tools import CFN_LINT

Rule = Callable[[Estate], Iterator[Verdict]]


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A guard that is no look at a template."""

    name: str
    reason: str
    """Why no template shows it, or not all of it."""


def preflight(topic: str, reason: str) -> Elsewhere:
    """A check of ``anfl preflight``, before every deployment."""
    return Elsewhere(name=f"`anfl preflight`: {topic}", reason=reason)


def runbook(heading: str, reason: str) -> Elsewhere:
    """A section of ``docs/development.md``."""
    return Elsewhere(name=f"`docs/development.md`: {heading}", reason=reason)


@dataclass(frozen=True, kw_only=True)
class Trap:
    """One of them; guarded by a tool that reports it, or a rule of our own where none does, or elsewhere."""

    number: int
    what: str
    tool: tuple[str, str] | None = None
    """Name of the tool, id of its rule."""
    rules: tuple[Rule, ...] = ()
    elsewhere: Elsewhere | None = None
    idle: str = ""
    """Why nothing in any environment is subject to the rule."""


TRAPS = (
    Trap(number=1, what="backup selection empty", rules=(backup.selections_name_resources,)),
    Trap(number=2, what="backup role without the policies for S3", rules=(backup.roles_may_handle_buckets,)),
    Trap(number=3, what="backup start window below 60 minutes", rules=(backup.start_windows_are_long_enough,)),
    Trap(number=4, what="a bare App() in tests lacks the flags of cdk.json", rules=(deployment.apps_have_the_flags,)),
    Trap(number=5, what="Auto Scaling group by launch configuration", tool=(CFN_LINT, "W3697")),
    Trap(
        number=6,
        what="ECS service that does not wait for its capacity provider",
        rules=(compute.services_wait_for_capacity,),
    ),
    Trap(
        number=7,
        what="capacity provider with protected instances hangs when deleted",
        rules=(compute.capacity_providers_protect_no_instance, compute.groups_protect_no_instance),
    ),
    Trap(
        number=8,
        what="service-linked role missing in a new account",
        elsewhere=preflight(
            "service-linked roles",
            "AWS makes the role when somebody first uses the service; only the account knows whether it is there",
        ),
    ),
    Trap(
        number=9,
        what="web ACL for CloudFront outside us-east-1",
        rules=(edge.firewalls_of_cloudfront_stand_at_home,),
    ),
    Trap(
        number=10,
        what="certificate for CloudFront outside us-east-1",
        rules=(edge.certificates_of_cloudfront_stand_at_home,),
    ),
    Trap(
        number=11,
        what="key for DNSSEC outside us-east-1",
        rules=(edge.keys_of_dnssec_stand_at_home,),
        idle="the zones are not signed; whoever signs them meets the rule",
    ),
    Trap(
        number=12,
        what="Route 53 checks over HTTPS what takes TLS 1.3 alone",
        rules=(edge.health_checks_ask_nothing_over_https,),
    ),
    Trap(
        number=13,
        what="load balancer checks over HTTPS what takes TLS 1.3 alone",
        rules=(edge.targets_take_what_their_health_checks_speak,),
    ),
    Trap(number=14, what="API's security policy is not its domain name's", rules=(edge.names_have_their_apis_policy,)),
    Trap(
        number=15,
        what="queue hides messages for less than 6 time-outs of its function",
        rules=(compute.queues_leave_time_for_retries,),
    ),
    Trap(number=16, what="zones made up by the CDK (dummy1a)", rules=(network.zones_are_of_their_region,)),
    Trap(number=17, what="subnets divided by the CDK's VPC", rules=(network.subnets_are_the_architectures,)),
    Trap(
        number=18,
        what="endpoint service missing in a zone of us-west-1",
        elsewhere=preflight(
            "zones of endpoint services",
            "which zone an account calls us-west-1a differs between accounts; what is missing there stands in "
            "deployment.endpoints.absent of environments/common.yaml, which the network obeys",
        ),
    ),
    Trap(
        number=19,
        what="accelerator changed twice at the same time",
        rules=(edge.accelerators_change_one_thing_at_a_time, edge.stacks_are_deployed_one_at_a_time),
        elsewhere=Elsewhere(
            name="`make deploy`: one stack after another",
            reason="stacks of several regions wait for none of one another; the command deploys one at a time",
        ),
    ),
    Trap(
        number=20,
        what="clients' addresses preserved, balancer's group closed to them",
        rules=(network.clients_may_reach_the_balancer,),
    ),
    Trap(
        number=21,
        what="replica of a table before the replica of its key",
        rules=(data.replicas_of_tables_wait_for_their_keys,),
    ),
    Trap(
        number=22,
        what="two replicas of a table changed in one update",
        elsewhere=runbook(
            "A region more or less",
            "a template says how many replicas there are to be, not how many there are; a first deployment may "
            "make all at once",
        ),
    ),
    Trap(
        number=23,
        what="replication of buckets in all directions in one pass",
        rules=(data.buckets_carry_no_rules_of_a_mesh, data.rules_of_a_mesh_wait_for_its_buckets),
    ),
    Trap(
        number=24,
        what="policy of a key not inherited by its replica",
        rules=(keys.replicas_carry_the_whole_policy,),
    ),
    Trap(number=25, what="log group under a key that does not admit logs", rules=(keys.logs_may_use_their_key,)),
    Trap(
        number=26,
        what="topic under a key that does not admit its publishers",
        rules=(keys.notifiers_may_use_their_topics_key,),
    ),
    Trap(
        number=27,
        what="disks under a key that Auto Scaling may not use",
        rules=(keys.auto_scaling_may_use_the_key_of_disks,),
    ),
    Trap(
        number=28,
        what="API Gateway's account set by each API, the last wins",
        rules=(deployment.one_role_a_region_logs_for_api_gateway,),
    ),
    Trap(
        number=29,
        what="ten log resource policies a region",
        rules=(deployment.log_policies_are_few,),
        elsewhere=preflight(
            "log resource policies",
            "services of AWS and other stacks of the account make policies that stand in no template of ours",
        ),
    ),
    Trap(
        number=30,
        what="integration's time-out above the quota",
        rules=(deployment.integrations_end_within_the_quota,),
        elsewhere=preflight("quotas", "whether AWS has raised or lowered a quota, only the account knows"),
    ),
    Trap(number=31, what="VPC link without security groups", rules=(network.links_have_security_groups,)),
    Trap(
        number=32,
        what="network interfaces of functions deleted slowly",
        elsewhere=runbook(
            "A stack that is slow to go",
            "it is Lambda that deletes them, up to 40 minutes after the function; templates only say in which order",
        ),
    ),
    Trap(
        number=33,
        what="kept under a fixed name, it exists already",
        rules=(deployment.only_data_is_kept_under_a_fixed_name,),
        elsewhere=Elsewhere(
            name="`anfl cleanup --failed`",
            reason="data must keep its name; whether an earlier deployment left some behind, only the account knows",
        ),
    ),
    Trap(
        number=34,
        what="key that was rolled back is pending deletion for days",
        rules=(keys.keys_outlive_a_stack_that_fails,),
        elsewhere=Elsewhere(
            name="`anfl cleanup --failed`",
            reason="what was rolled back stands in no template; it cancels the deletion where data is under the key",
        ),
    ),
    Trap(
        number=35,
        what="Grafana without Identity Center",
        rules=(deployment.grafana_lets_people_in_by_saml,),
        elsewhere=preflight("Identity Center", "whether the organisation has one, no template knows"),
    ),
    Trap(
        number=36,
        what="weak reference read only when its consumer is deployed",
        rules=(deployment.consumers_come_after_producers,),
        elsewhere=runbook(
            "An id that others refer to changes",
            "a consumer's template stays the same when what it refers to changes, so that nothing asks for its update",
        ),
    ),
)


def name_of(rule: Rule) -> str:
    """Its module below ``rules``, and its own."""
    return f"{rule.__module__.rsplit('.', 1)[-1]}.{rule.__name__}"


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Number, trap, guards, and why a template does not suffice."""
    for trap in TRAPS:
        guards = [f"{trap.tool[0]} {trap.tool[1]}"] if trap.tool else []
        guards += [f"own rule `{name_of(rule)}`" for rule in trap.rules]
        if trap.elsewhere:
            guards.append(trap.elsewhere.name)
        yield str(trap.number), trap.what, "; ".join(guards), trap.elsewhere.reason if trap.elsewhere else ""
