"""Where the log of a collection is written: in the bucket of one region, its home; S3 copies it to the others.

A put that two regions make under one key is one of theirs in the end, and both were acknowledged. A region that removes
what it takes for superfluous removes it in all, by what it knows. So nothing of a collection is written or removed
anywhere else, but for a named snapshot that its owner asks for, and only at home the next slot tells what there is now.
Nor are its settings changed anywhere else: of two changes at the same time the catalogue keeps one, and the log may
demand that the other is known. It can be deleted everywhere; its objects go at home.
"""

from anfl.problems import Problem
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal


def is_home(collection: Collection, *, here: str | None) -> bool:
    """Whether this region writes the collection's objects; the rows of a class (`Collection.engine_class`) have none.

    :param here: this region; None: there is no other.
    """
    return collection.engine_class is not None or here is None or collection.home in (None, here)


def check_home(collection: Collection, *, here: str) -> None:
    """Refuse what has to be done at home.

    :raises Problem: 409 ``written_elsewhere``; its member ``home`` is that region.
    """
    if not is_home(collection, here=here):
        raise elsewhere(
            f"The log of {collection.name} is written in {collection.home}, and stands here as far as it was copied",
            home=str(collection.home),
        )


def elsewhere(what: str, *, home: str) -> Problem:
    """409: only the region ``home`` can do it."""
    return Problem(409, Refusal.WRITTEN_ELSEWHERE, f"{what}: ask there.", extensions={"home": home})
