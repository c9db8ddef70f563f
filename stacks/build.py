"""The app: every stack of one environment, in the order in which they can be deployed."""

import os
import sys
from itertools import pairwise

from aws_cdk import App

from bundling.errors import BundleMissingError
from stacks.global_data import GlobalData
from stacks.global_dns import GlobalDns
from stacks.global_edge import GlobalEdge
from stacks.global_keys import GlobalKeys, GlobalReplicaKey
from stacks.models import Settings
from stacks.monitoring import MonitoringStack
from stacks.names import PublicNames
from stacks.network import NetworkStack
from stacks.recovery import RecoveryStack
from stacks.security import SecurityStack
from stacks.service import ServiceStack
from stacks.settings import DEFAULT_ENVIRONMENT, SettingsError, load
from stacks.storage import StorageStack
from stacks.toolkit import ToolkitError, check_toolkit
from stacks.units import Region


def build(app: App, settings: Settings) -> None:
    """Add the stacks of ``settings`` to ``app``, which is their stage: a stack's id is its name.

    Pure: nothing but the arguments, the sources and the locks decides what the templates say.
    """
    domain = settings.deployment.domain
    dns = GlobalDns(app, settings=settings) if settings.network.global_.route53.zones else None
    keys = GlobalKeys(app, settings=settings)
    replicas = {
        region: GlobalReplicaKey(app, settings=settings, region=region, primary=keys.key)
        for region in settings.regions
        if region is not settings.primary_region
    }
    names = PublicNames(domain=domain, zone_id=dns.zone_id(domain)) if dns and domain else None
    data = GlobalData(app, settings=settings, key=keys.key, replica_keys=tuple(replicas.values()))
    if names:
        GlobalEdge(app, settings=settings, names=names)
    for region in settings.regions:
        key_arn = replicas[region].key_arn if region in replicas else keys.key.key_arn
        _region(app, settings, region, key_arn=key_arn, names=names, data=data)


def _region(
    app: App, settings: Settings, region: Region, *, key_arn: str, names: PublicNames | None, data: GlobalData
) -> None:
    """The stacks of one region, which depend on one another and on global ones, never on another region's."""
    network = NetworkStack(app, settings=settings, region=region, key_arn=key_arn)
    security = SecurityStack(
        app,
        settings=settings,
        region=region,
        network=network.network,
        key_arn=key_arn,
        names=names,
    )
    storage = StorageStack(
        app, settings=settings, region=region, network=network.network, security=security, key_arn=key_arn
    )
    service = ServiceStack(
        app,
        settings=settings,
        region=region,
        network=network.network,
        security=security,
        storage=storage,
        key_arn=key_arn,
    )
    service.add_stack_dependency(data, "functions and services use the region's replica of every table by name")
    monitoring = MonitoringStack(app, settings=settings, region=region, service=service, key_arn=key_arn)
    recovery = RecoveryStack(app, settings=settings, region=region, storage=storage, key_arn=key_arn)
    recovery.add_stack_dependency(data, "the plan for databases selects the region's replica of every table by name")
    chain = (network, security, storage, service, monitoring, recovery)
    for earlier, later in pairwise(chain):
        later.add_stack_dependency(earlier)


def main() -> None:
    """Synthesize what ``-c env=…`` and ``-c regions=…`` ask for; a wrong set-up ends in one readable message."""
    try:
        check_toolkit(os.environ)
        app = App()
        environment = app.node.try_get_context("env") or DEFAULT_ENVIRONMENT
        build(app, load(environment, regions=app.node.try_get_context("regions")))
        app.synth()
    except (SettingsError, ToolkitError, BundleMissingError) as error:
        sys.exit(str(error))
