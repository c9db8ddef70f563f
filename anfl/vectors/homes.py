"""Where the log of a collection is written: in the bucket of one region, its home; S3 copies it to the others.

A put that two regions make into one slot of two buckets is one of theirs in the end, and both were acknowledged. So
nothing is written anywhere else, and only at home the next slot tells what there is now.
"""

from anfl.problems import Problem
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal


def check_home(collection: Collection, *, here: str) -> None:
    """Refuse what has to be done where the log is written; the rows of a class (`Collection.engine_class`) have none.

    :param here: this region.
    :raises Problem: 409 ``written_elsewhere``; its member ``home`` is that region.
    """
    if collection.engine_class is None and collection.home not in (None, here):
        raise elsewhere(
            f"The log of {collection.name} is written in {collection.home}, and stands here as far as it was copied",
            home=collection.home,
        )


def elsewhere(what: str, *, home: str) -> Problem:
    """409: only the region ``home`` can do it."""
    return Problem(409, Refusal.WRITTEN_ELSEWHERE, f"{what}: ask there.", extensions={"home": home})
