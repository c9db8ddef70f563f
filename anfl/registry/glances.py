"""What searches read of documents: as much as an order or a filter asks for. Whatever is shown is read in full."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import msgspec

from anfl.registry.entities import PROMPT_TAG, VersionOf
from anfl.registry.filters import Comparison, Filter
from anfl.registry.records import model_in, version_in


class Owner(msgspec.Struct, gc=False):
    """What versions need to know of their model."""

    id: str
    name: str
    last_version: int = 0
    renamed_at: int = 0
    document: str = ""
    """All of it."""


class Standing(msgspec.Struct, gc=False):
    """Which revision of a model this is, and since when."""

    id: str
    revision: int = 0
    changed_at: int = 0


class Told(msgspec.Struct, gc=False):
    """What filters are about; names and numbers stand in keys."""

    tags: dict[str, str] = {}
    spilled: frozenset[str] = frozenset()
    run_id: str | None = None
    source: str | None = None

    def asks(self, condition: Filter) -> bool:
        """Whether a filter, or the rule on prompts, is about a tag that is too large to stand here."""
        return not self.spilled.isdisjoint({*condition.tags(), PROMPT_TAG})

    def holds(self, condition: Filter) -> bool:
        """Whether all conditions hold, of which none is on a name or a number."""
        return condition.holds({"run_id": self.run_id, "source_path": self.source}, self.tags)


class Glance(msgspec.Struct, gc=False):
    """A version by what it may be ordered by."""

    model_id: str
    number: int
    created_at: int
    updated_at: int
    document: str = ""
    """All of it."""
    owner: Owner | None = None
    """Its model, once it belongs to it."""
    read: Told | None = None
    """See `told`."""

    @property
    def told(self) -> Told:
        """What filters are about: read when one asks for it."""
        if self.read is None:
            self.read = told(self.document)
        return self.read

    def is_large(self, comparison: Comparison) -> bool:
        """Whether a comparison is on a tag whose value does not stand here."""
        return comparison.is_tag and comparison.key in self.told.spilled

    def belong_to(self, owner: Owner) -> None:
        """Take over what the model says; a rename is a change of every version."""
        self.owner = owner
        if owner.renamed_at > self.updated_at:
            self.updated_at = owner.renamed_at

    def in_full(self) -> VersionOf:
        """All of it, once it belongs to its model."""
        assert self.owner is not None  # noqa: S101 - for the type alone
        return VersionOf(model=model_in(self.owner.document), version=version_in(self.document))


class Times(msgspec.Struct, gc=False):
    """When a model was made and changed, in milliseconds."""

    created_at: int
    updated_at: int


_OWNER, _GLANCE = msgspec.json.Decoder(Owner), msgspec.json.Decoder(Glance)
_MODEL: Callable[[Glance], Owner | None] = attrgetter("owner")
_TIMES, _TOLD, _STANDING = msgspec.json.Decoder(Times), msgspec.json.Decoder(Told), msgspec.json.Decoder(Standing)


def owner(document: str) -> Owner:
    """A model as its versions need it."""
    found = _OWNER.decode(document)
    found.document = document
    return found


def owners(documents: Sequence[str]) -> dict[str, Owner]:
    """Models by id."""
    found = list(map(_OWNER.decode, documents))
    for each, document in zip(found, documents, strict=True):
        each.document = document
    return {each.id: each for each in found}


def standings(documents: Sequence[str]) -> list[Standing]:
    """Of models; half of what `owners` costs."""
    return list(map(_STANDING.decode, documents))


def versions(documents: Sequence[str]) -> list[Glance]:
    """Versions, until they belong to their models."""
    found = list(map(_GLANCE.decode, documents))
    for version, document in zip(found, documents, strict=True):
        version.document = document
    return found


def owned(found: list[Glance], owners: Mapping[str, Owner]) -> list[Glance]:
    """Versions with their models, those that have one."""
    for version in found:
        version.owner = owners.get(version.model_id)
    if None in map(_MODEL, found):  # those of a model that is being deleted, or that is not asked for
        found = [version for version in found if version.owner is not None]
    renamed = {owner.id for owner in owners.values() if owner.renamed_at}
    if renamed:
        for version in found:
            if version.model_id in renamed:
                version.belong_to(owners[version.model_id])
    return found


times = _TIMES.decode
told = _TOLD.decode
