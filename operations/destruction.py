"""Takes a whole environment away."""

from collections.abc import Callable
from pathlib import Path

from operations import retained, stacks, toolkit
from operations.assembly import Assembly
from operations.cloud import Cloud
from operations.stacks import Stack, StackResource
from operations.synth import synthesize

SECONDS = 6 * 3600.0


class Destruction:
    """One environment's end."""

    def __init__(
        self, *, environment: str, settings: Path, work: Path, cloud: Cloud, tell: Callable[[str], None]
    ) -> None:
        """:param settings: folder of the settings files. :param work: folder for the assembly and the CLI's log."""
        self._context = {"env": environment, "settings": str(settings)}
        self._work = work
        self._cloud = cloud
        self._tell = tell

    async def synthesize(self) -> None:
        """:raises ToolkitFailedError: the CDK's reasons."""
        folder, log = self._work / "all", self._work / "synth.log"
        await synthesize(folder, context=self._context, variables=toolkit.variables(), log=log)
        self._assembly = Assembly.read(folder)

    def standing(self) -> list[Stack]:
        """The stacks that are there."""
        found = (stacks.find(self._cloud, *place) for place in self._assembly.templates)
        return [stack for stack in found if stack is not None]

    def staying(self) -> list[StackResource]:
        """What of them stays behind."""
        return list(retained.of(self._cloud, self.standing()))

    async def run(self) -> None:
        """Destroy them, dependents first.

        :raises OperationError: one could not be; the next run goes on from there.
        """
        standing = self.standing()
        if not standing:
            return
        for stack in standing:
            stacks.unprotect(self._cloud, stack)
        await toolkit.run(
            ("destroy", *(stack.name for stack in standing), "--exclusively", "--force"),
            assembly=self._assembly.folder,
            variables=toolkit.variables(),
            log=self._work / "cdk.log",
            timeout=SECONDS,
            progress=lambda name, number, total: self._tell(f"destroy {name} ({number}/{total})"),
        )
