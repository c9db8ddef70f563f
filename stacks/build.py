"""The app: every stack of one environment, in the order in which they can be deployed."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aws_cdk import App, Stack

from bundling.errors import BundleMissingError
from stacks.acknowledgements import acknowledge
from stacks.edge import EdgeStack
from stacks.global_data import GlobalData
from stacks.global_dns import GlobalDns
from stacks.global_edge import GlobalEdge
from stacks.global_key_leader import GlobalKeyLeader
from stacks.global_keys import GlobalKeys, GlobalReplicaKey
from stacks.global_people import GlobalPeople
from stacks.global_watch import GlobalWatch
from stacks.key_agent import KeyAgentStack
from stacks.models import Settings
from stacks.monitoring import MonitoringStack
from stacks.names import PublicNames
from stacks.network import NetworkStack
from stacks.recovery import RecoveryStack
from stacks.recovery_dial import AcceleratorArns
from stacks.replication import ReplicationStack
from stacks.security import SecurityStack
from stacks.service import ServiceStack
from stacks.settings import DEFAULT_ENVIRONMENT, ROOT, SettingsError, load
from stacks.storage import StorageStack
from stacks.telemetry import TelemetryStack
from stacks.toolkit import ToolkitError, check_toolkit
from stacks.units import Region
from stacks.vault import VaultStack

WITHOUT_TRACES = {"aws:cdk:disable-creation-stack-traces": True}
"""None is taken of the creation of every resource: they end before they reach Python."""


@dataclass(frozen=True, kw_only=True)
class RegionStacks:
    """Those of a region on which stacks of several regions depend."""

    network: NetworkStack
    security: SecurityStack
    storage: StorageStack
    last: Stack


def build(app: App, settings: Settings) -> None:
    """Add the stacks of ``settings`` to ``app``, which is their stage: a stack's id is its name.

    Pure: nothing but the arguments, the sources and the locks decides what the templates say.
    """
    domain = settings.domain
    dns = GlobalDns(app, settings=settings) if settings.network.global_.route53.zones else None
    if settings.deployment.people:
        GlobalPeople(app, settings=settings, people=settings.deployment.people)
    keys = GlobalKeys(app, settings=settings)
    replicas = {
        region: GlobalReplicaKey(app, settings=settings, region=region, primary=keys)
        for region in settings.regions
        if region is not settings.primary_region
    }
    names = PublicNames(domain=domain, zone_id=dns.zone_id(domain)) if dns and domain else None
    data = GlobalData(app, settings=settings, key=keys.key, replica_keys=tuple(replicas.values()))
    key_arns = dict.fromkeys(settings.regions, keys.key.key_arn)
    key_arns |= {region: replica.key_arn for region, replica in replicas.items()}
    leader = GlobalKeyLeader(app, settings=settings, wrapping_arn=keys.wrapping.key_arn, key_arn=keys.key.key_arn)
    leader.add_stack_dependency(data, "versions of the wrapping key stand in the auth table")
    edge = GlobalEdge(app, settings=settings, names=names) if names else None
    built = {}
    for region in settings.regions:
        watch = _watch(app, settings, region, key_arns=key_arns, names=names)
        built[region] = _region(
            app,
            settings,
            region,
            keys=_keys_of(region, keys, replicas),
            edge=edge,
            watch=watch,
            data=data,
            leader=leader,
        )
    _replication(app, settings, key_id=keys.key.key_id, key_arns=key_arns, built=built)


def _watch(
    app: App, settings: Settings, region: Region, *, key_arns: Mapping[Region, str], names: PublicNames | None
) -> GlobalWatch | None:
    """Over ``region``, from its guardian; None without a name to look at, or another region to look from."""
    guardian = settings.guardian(region)
    if names is None or guardian is None:
        return None
    return GlobalWatch(
        app,
        settings=settings,
        watched=region,
        guardian=guardian,
        host=names.regional_api(region),
        key_arn=key_arns[guardian],
    )


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """ARNs of one region's keys, and the id of the seal's, which is the same in every region."""

    data: str
    wrapping: str
    seal: str | None
    seal_id: str | None


def _keys_of(region: Region, primary: GlobalKeys, replicas: Mapping[Region, GlobalReplicaKey]) -> _Keys:
    seal_id = primary.seal.key_id if primary.seal else None
    if region in replicas:
        replica = replicas[region]
        return _Keys(data=replica.key_arn, wrapping=replica.wrapping_arn, seal=replica.seal_arn, seal_id=seal_id)
    return _Keys(
        data=primary.key.key_arn,
        wrapping=primary.wrapping.key_arn,
        seal=primary.seal.key_arn if primary.seal else None,
        seal_id=seal_id,
    )


def _region(
    app: App,
    settings: Settings,
    region: Region,
    *,
    keys: _Keys,
    edge: GlobalEdge | None,
    watch: GlobalWatch | None,
    data: GlobalData,
    leader: GlobalKeyLeader,
) -> RegionStacks:
    """The stacks of one region, which depend on one another and on global ones, never on another region's."""
    key_arn = keys.data
    network = NetworkStack(app, settings=settings, region=region, key_arn=key_arn)
    security = SecurityStack(
        app,
        settings=settings,
        region=region,
        network=network.network,
        key_arn=key_arn,
        names=edge.names if edge else None,
    )
    vault = _vault(
        app, settings, region, keys=keys, names=edge.names if edge else None, network=network, security=security
    )
    agent = KeyAgentStack(
        app,
        settings=settings,
        region=region,
        network=network.network,
        security=security,
        vault=vault,
        wrapping_arn=keys.wrapping,
        key_arn=key_arn,
    )
    agent.add_stack_dependency(leader, "an agent imports what the leader has begun")
    agent.add_stack_dependency(data, "versions of the wrapping key stand in the region's replica of the auth table")
    storage = StorageStack(
        app, settings=settings, region=region, network=network.network, security=security, key_arn=key_arn
    )
    telemetry = TelemetryStack(app, settings=settings, region=region, key_arn=key_arn)
    service = ServiceStack(
        app,
        settings=settings,
        region=region,
        network=network.network,
        security=security,
        storage=storage,
        telemetry=telemetry,
        vault=vault,
        key_arn=key_arn,
    )
    service.add_stack_dependency(data, "functions and services use the region's replica of every table by name")
    way_in = _way_in(app, settings, region, security=security, service=service, edge=edge, watch=watch)
    monitoring = MonitoringStack(app, settings=settings, region=region, telemetry=telemetry, service=service)
    recovery = RecoveryStack(
        app,
        settings=settings,
        region=region,
        storage=storage,
        vault=vault,
        key_arn=key_arn,
        accelerator=_accelerator(edge),
    )
    recovery.add_stack_dependency(data, "the plan for databases selects the region's replica of every table by name")
    if vault:
        vault.add_stack_dependency(data, "the bootstrap publishes keys in the region's replica of the auth table")
    own = [vault] if vault else []
    chain = (network, security, *own, agent, storage, telemetry, service, *way_in, monitoring, recovery)
    for earlier, later in pairwise(chain):
        later.add_stack_dependency(earlier)
    return RegionStacks(network=network, security=security, storage=storage, last=recovery)


def _replication(
    app: App,
    settings: Settings,
    *,
    key_id: str,
    key_arns: Mapping[Region, str],
    built: Mapping[Region, RegionStacks],
) -> None:
    """What makes the regions replicas of one another comes after all of them."""
    for region, stacks in built.items():
        if stacks.storage.copies is None:  # there is no other region
            continue
        replication = ReplicationStack(
            app,
            settings=settings,
            region=region,
            network=stacks.network.network,
            security=stacks.security,
            queue=stacks.storage.copies,
            key_arn=key_arns[region],
            key_id=key_id,
        )
        replication.add_stack_dependency(stacks.last)
        for other in built.values():
            replication.add_stack_dependency(other.storage, "S3 refuses a rule whose destination does not exist")


def _accelerator(edge: GlobalEdge | None) -> AcceleratorArns | None:
    if edge is None or edge.ingest is None:
        return None
    entry = edge.ingest
    return AcceleratorArns(accelerator=entry.resource.attr_accelerator_arn, listener=entry.listener.attr_listener_arn)


def _way_in(
    app: App,
    settings: Settings,
    region: Region,
    *,
    security: SecurityStack,
    service: ServiceStack,
    edge: GlobalEdge | None,
    watch: GlobalWatch | None,
) -> list[EdgeStack]:
    """The region's edge, where there is a domain."""
    if edge is None or security.certificate is None:
        return []
    stack = EdgeStack(
        app,
        settings=settings,
        region=region,
        names=edge.names,
        certificate_arn=security.certificate.arn,
        security=security,
        service=service,
        listener=edge.ingest.listener if edge.ingest else None,
        watch=watch,
    )
    if watch:
        stack.add_stack_dependency(watch, "Route 53 takes alarms that exist")
    return [stack]


def _vault(
    app: App,
    settings: Settings,
    region: Region,
    *,
    keys: _Keys,
    names: PublicNames | None,
    network: NetworkStack,
    security: SecurityStack,
) -> VaultStack | None:
    """The region's Vault, where the environment has nodes of its own (`stacks.checks`: then it has a domain too)."""
    cluster = settings.deployment.vault.cluster
    if cluster is None or names is None or security.vault is None or keys.seal is None or keys.seal_id is None:
        return None
    return VaultStack(
        app,
        settings=settings,
        region=region,
        network=network.network,
        groups=security.vault,
        cluster=cluster,
        zone_id=names.zone_id,
        key_arn=keys.data,
        seal_arn=keys.seal,
        seal_id=keys.seal_id,
    )


def main() -> None:
    """Synthesize what ``-c env=…`` and the other arguments of `load` ask for; a wrong set-up ends in one message.

    ``-c settings=…`` names another folder with the settings.
    """
    try:
        check_toolkit(os.environ)
        app = App(tree_metadata=False, post_cli_context=WITHOUT_TRACES)  # the tree is of a file that no command reads
        asked = app.node.try_get_context
        settings = load(
            asked("env") or DEFAULT_ENVIRONMENT,
            regions=asked("regions"),
            leaving=asked("leaving"),
            root=Path(asked("settings") or ROOT),
        )
        build(app, settings)
        if os.environ.get("CDK_VALIDATION") != "false":  # the CLI says so; nothing else reads them
            acknowledge(app, settings)
        app.synth()
    except (SettingsError, ToolkitError, BundleMissingError) as error:
        sys.exit(str(error))
