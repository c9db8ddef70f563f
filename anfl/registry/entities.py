"""What the registry stores. Times are milliseconds since the epoch.

No record can be part of a cycle (``gc=False``): tens of thousands of them may be in memory (`anfl.registry.known`).
"""

from enum import StrEnum

import msgspec

from anfl.inspection.report import InspectedFile, Reason
from anfl.registry.audit import FIRST

PROMPT_TAG = "mlflow.prompt.is_prompt"
"""Tag by which MLflow tells prompts from models; both are registered models."""


class Stage(StrEnum):
    """MLflow's stages of a version."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A registered model."""

    id: str
    """Internal uuid: versions hang off it, so a rename touches none of them."""
    name: str
    created_at: int
    updated_at: int
    renamed_at: int = 0
    """A rename counts as an update of every version (see `Version.changed_at`)."""
    description: str | None = None
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    """Alias → version number."""
    latest: dict[Stage, int] = {}
    """Highest version number in each stage that has one."""
    last_version: int = 0
    """Highest number ever given; numbers are never given again."""
    revision: int = 0
    """Counts changes, of the model and all that belongs to it: every write is conditional on it. It is also the number
    of the last entry of the model's audit."""
    audited: str = FIRST
    """Hash of that entry."""
    changed_at: int = 0
    """When that was; 0: not told, by an earlier release."""
    spilled: frozenset[str] = frozenset()
    """Keys of tags that are too large to stand in the record itself (see `anfl.registry.tags`)."""

    def aliases_of(self, number: int) -> list[str]:
        """Aliases that name a version."""
        return sorted(alias for alias, target in self.aliases.items() if target == number)


class Version(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version of a model. Its model's name stands in the model only."""

    model_id: str
    """First, as documents are found by it (`anfl.registry.together`)."""
    number: int
    created_at: int
    updated_at: int
    stage: Stage = Stage.NONE
    description: str | None = None
    source: str
    """As the caller gave it."""
    location: str
    """Where the artefacts lie: ``source``, with ``models:/…`` resolved."""
    digest: str = ""
    """SHA-256 over location and files (`anfl.registry.locations.digest`): approvals are bound to it."""
    run_id: str | None = None
    run_link: str | None = None
    tags: dict[str, str] = {}
    revision: int = 0
    spilled: frozenset[str] = frozenset()

    def changed_at(self, model: Model) -> int:
        """Last change, of the version or of its model's name."""
        return max(self.updated_at, model.renamed_at)


class VersionOf(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version together with its model."""

    model: Model
    version: Version


class VerdictStatus(StrEnum):
    """State of a version's validation."""

    PENDING = "PENDING"
    VALIDATED = "VALIDATED"
    REJECTED = "REJECTED"
    QUARANTINED = "QUARANTINED"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an inspection, or that it is still to come."""

    status: VerdictStatus
    reasons: list[Reason] = []
    files: list[InspectedFile] = []
    requested_at: str
    """ISO 8601, UTC."""
    inspected_at: str | None = None
