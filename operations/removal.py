"""Takes a region away from an environment while the others go on serving.

Every step finds out by itself what is left to do, so an interrupted removal goes on where the next one begins.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from anfl.auth.table import AuthTable
from anfl.crypto.wrapping_versions import WrappingVersions
from anfl.resources import AUTH
from operations import homes, retained, stacks, toolkit
from operations.assembly import Assembly, Difference, Place, difference
from operations.cloud import Cloud, code_of, told
from operations.drain import drain
from operations.errors import RefusedError
from operations.stacks import StackResource
from operations.synth import synthesize
from stacks.models import Settings
from stacks.physical_names import global_tables
from stacks.settings import SettingsError, load
from stacks.units import Region

SECONDS = 4 * 3600.0
"""For one call of the CLI: CloudFormation itself gives up before."""
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be removed, and how."""

    environment: str
    region: str
    settings: Path
    """Folder with the settings files."""
    work: Path
    """Folder for assemblies and the CLI's log."""
    drain_seconds: float
    """How long to wait between draining and taking the region's names away: DNS, and requests under way."""


def check(cloud: Cloud, environment: str, region: str, root: Path) -> None:
    """Whether ``region`` can be removed at all; nothing is synthesized for it.

    :raises RefusedError: the global stacks stand there, or something has its home there.
    :raises SettingsError: it is none of the environment's, or the settings do not say yet that it is removed.
    """
    settings = load(environment, root=root)
    if region not in settings.all_regions:
        raise SettingsError([f"{region}: {environment} has {', '.join(settings.all_regions)}"])
    place = Region(region)
    if place is settings.primary_region:
        raise RefusedError(
            f"{region} is the primary region of {environment}: keys, tables, zones and the edge of all regions stand "
            f"there. It goes with the whole environment only: anfl destroy --env {environment}"
        )
    removed = place in settings.deployment.removed_regions
    _refuse_if_at_home(cloud, load(environment, leaving=region, root=root) if removed else settings, place)
    load(environment, leaving=region, root=root)


def _refuse_if_at_home(cloud: Cloud, settings: Settings, region: Region) -> None:
    """:raises RefusedError: something has its home in the region; every such thing is named."""
    found = homes.in_region(cloud, settings, region)
    if found:
        lines = [f"  {homed.what} {homed.name}: {homed.advice}" for homed in found]
        raise RefusedError("\n".join([f"{region} is home to:", *lines]))


class Removal:
    """One region's removal."""

    def __init__(self, request: Request, cloud: Cloud, *, tell: Tell) -> None:
        """:raises stacks.settings.SettingsError: the settings do not say that the region is removed."""
        self._request = request
        self._cloud = cloud
        self._tell = tell
        self._region = Region(request.region)
        self.before = load(request.environment, leaving=request.region, root=request.settings)
        self.after = load(request.environment, root=request.settings)
        self._log = request.work / "cdk.log"

    async def synthesize(self) -> Difference:
        """Both assemblies, and what leads from the one to the other.

        :raises ToolkitFailedError: the CDK's reasons.
        """
        common = {"env": self._request.environment, "settings": str(self._request.settings)}
        self._before = await self._assembly(f"with-{self._region}", common | {"leaving": self._region.value})
        self._after = await self._assembly("all", common)
        self._changes = difference(self._before, self._after)
        return self._changes

    async def _assembly(self, name: str, context: dict[str, str]) -> Assembly:
        folder = self._request.work / name
        await synthesize(folder, context=context, variables=toolkit.variables(), log=self._request.work / "synth.log")
        return Assembly.read(folder)

    def staying(self) -> list[StackResource]:
        """What of the destroyed stacks stays behind."""
        standing = [stacks.find(self._cloud, *place) for place in self._changes.destroyed]
        return list(retained.of(self._cloud, [stack for stack in standing if stack is not None]))

    async def run(self) -> None:
        """Do it.

        :raises OperationError: a step failed; the next run goes on from there.
        :raises RefusedError: something came to have its home in the region while it was drained.
        """
        region, name = self._region, self.before.name
        gates = {name(region, "edge")}
        watch, keys = name("global", "watch", region), name("global", "replica-keys", region)
        data = name("global", "data")
        destroyed, deployed = self._changes.destroyed, self._changes.deployed
        await self._drain()
        await self._destroy([place for place in destroyed if place[0] in gates])
        _refuse_if_at_home(self._cloud, self.before, region)  # nobody comes in any more: nothing can follow
        await self._destroy([place for place in destroyed if place[0] == watch])
        await self._deploy([place for place in deployed if place[0] != data])
        await self._destroy([place for place in destroyed if place[0] != keys])
        self._unprotect_replicas()
        await self._deploy([place for place in deployed if place[0] == data])
        await self._destroy(destroyed)
        self._withdraw_keys()
        self._wait_for_it_no_more()

    async def _drain(self) -> None:
        drained_at = drain(self._cloud, self.before, self._region)
        if drained_at is None:
            return
        left = drained_at + self._request.drain_seconds - time.time()
        if left > 0:
            self._tell(f"{self._region} is drained; {left:.0f} s for DNS to follow and for requests to end")
            await asyncio.sleep(left)

    async def _destroy(self, places: Sequence[Place]) -> None:
        """With the earlier assembly, which still has them."""
        standing = [found for place in places if (found := stacks.find(self._cloud, *place)) is not None]
        for stack in standing:
            stacks.unprotect(self._cloud, stack)
        await self._cdk("destroy", [stack.name for stack in standing], self._before, "--force")

    async def _deploy(self, places: Sequence[Place]) -> None:
        options = ("--method=direct", "--require-approval=never")
        await self._cdk("deploy", [stack for stack, _ in places], self._after, *options)

    async def _cdk(self, command: str, names: Sequence[str], assembly: Assembly, *options: str) -> None:
        if names:
            await toolkit.run(
                (command, *names, "--exclusively", *options),
                assembly=assembly.folder,
                variables=toolkit.variables(),
                log=self._log,
                timeout=SECONDS,
                progress=lambda stack, number, total: self._tell(f"{command} {stack} ({number}/{total})"),
            )

    def _withdraw_keys(self) -> None:
        """Nobody signs with the region's keys any more, so nothing signed with them is to be believed."""
        client = self._cloud.client("dynamodb", self.after.primary_region)
        with told(f"Withdrawing the public keys of {self._region}"):
            table = AuthTable(name=self.after.name(AUTH.name), client=client)
            for key in table.published_keys():
                if key.region == self._region:
                    table.withdraw(key.kid)

    def _wait_for_it_no_more(self) -> None:
        """A version of the wrapping key need not come to a Vault that is gone."""
        client = self._cloud.client("dynamodb", self.after.primary_region)
        with told(f"Taking {self._region} from those that a wrapping key must come to"):
            WrappingVersions(table=self.after.name(AUTH.name), client=client).remove(self._region)

    def _unprotect_replicas(self) -> None:
        """A replica refuses to be deleted as its table does; its items stand in the other regions."""
        dynamodb = self._cloud.client("dynamodb", self._region)
        with told(f"Deletion protection of replicas in {self._region}"):
            for name in global_tables(self.before).values():
                try:
                    if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
                        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
                        dynamodb.get_waiter("table_exists").wait(TableName=name)
                except ClientError as error:
                    if code_of(error) != "ResourceNotFoundException":
                        raise
