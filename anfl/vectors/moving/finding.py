"""What is being moved, whichever of both collections somebody asks about."""

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.model import Collection


def target_of(catalogue: Catalogue, source: Collection) -> Collection | None:
    """What ``source`` becomes, or became; None where that was deleted, or ``source`` is not moved.

    :raises Problem: 503.
    """
    moving = source.moving
    if moving is None:
        return None
    try:
        found = catalogue.find(source.tenant, moving.to)
    except Problem as problem:
        if problem.status == 404:
            return None
        raise
    return found if found.incarnation == moving.incarnation else None


def is_open(target: Collection | None) -> bool:
    """Whether everybody may write to what something becomes: then there is no way back."""
    return target is not None and target.filling is not None and target.filling.ready


def source_of(catalogue: Catalogue, found: Collection) -> Collection | None:
    """What is moved, or was, where ``found`` is it, or what it becomes; None where neither is so.

    :raises Problem: 503.
    """
    if found.moving is not None:
        return found
    if found.filling is None:
        return None
    try:
        source = catalogue.find(found.tenant, found.filling.source)
    except Problem as problem:
        if problem.status == 404:
            return None
        raise
    return source if source.moving is not None and source.moving.incarnation == found.incarnation else None
