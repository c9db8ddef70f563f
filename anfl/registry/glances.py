"""What searches read of documents: as much as an order or a filter asks for. Whatever is shown is read in full."""

import msgspec

from anfl.registry.entities import PROMPT_TAG
from anfl.registry.filters import Filter


class Owner(msgspec.Struct, gc=False):
    """What versions need to know of their model."""

    id: str
    name: str
    renamed_at: int = 0
    document: str = ""
    """All of it."""


class Glance(msgspec.Struct, gc=False):
    """A version by what it may be ordered by."""

    model_id: str
    number: int
    created_at: int
    updated_at: int
    document: str = ""
    """All of it."""
    name: str = ""
    model: str = ""
    """Its model's name and document."""

    def belong_to(self, owner: Owner) -> None:
        """Take over what the model says; a rename is a change of every version."""
        self.name, self.model = owner.name, owner.document
        if owner.renamed_at > self.updated_at:
            self.updated_at = owner.renamed_at


class Times(msgspec.Struct, gc=False):
    """When a model was made and changed, in milliseconds."""

    created_at: int
    updated_at: int


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


_OWNER, _GLANCE = msgspec.json.Decoder(Owner), msgspec.json.Decoder(Glance)
_TIMES, _TOLD = msgspec.json.Decoder(Times), msgspec.json.Decoder(Told)


def owner(document: str) -> Owner:
    """A model as its versions need it."""
    found = _OWNER.decode(document)
    found.document = document
    return found


def version(document: str) -> Glance:
    """A version, until it belongs to its model."""
    found = _GLANCE.decode(document)
    found.document = document
    return found


times = _TIMES.decode
told = _TOLD.decode
