"""Takes a field that is declared for a collection with rows to where filters can rely on it.

1. The catalogue notes the field as pending (`declarations.patched`). Whoever knows of it refuses rows that do not fit,
   and filters that name it.
2. A *fence* in the log: a batch that says which revision of the settings has to be known from here on. Whoever was
   about to write by older settings loses this slot, looks into the catalogue, and checks again. So rows can contradict
   the declaration only if they stand before the fence, however long a writer was suspended.
3. Rows are counted that contradict it, in any state behind the fence: they cannot become more. (Nothing has to be
   built: segments and fresh rows index every member of the metadata.)
4. The catalogue takes the field among those that are declared, or notes how many rows contradict it.

Each step can be repeated, and be taken by another process than the one before.
"""

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.declarations import settled
from anfl.vectors.model import Collection
from anfl.vectors.replica import Replica
from anfl.vectors.writer import Writer


def build(replica: Replica, writer: Writer, catalogue: Catalogue) -> Collection:
    """Find out what becomes of the pending fields that ``replica`` knows of; returns the collection as it is then.

    :raises Problem: 404, it is gone; 503, the log or the catalogue does not answer. Then somebody has to try again.
    """
    collection = replica.collection
    asked = {name: field for name, field in collection.pending.items() if field.is_building}
    if asked:
        writer.fence(max(field.revision for field in asked.values()))
    state = replica.shown
    # By the log's time: what has expired for it cannot be patched, and thereby kept, by a node whose clock is behind.
    counts = {name: state.rows.view.count_against(name, field.type, now=state.ts) for name, field in asked.items()}

    def settle(found: Collection) -> Collection:
        return settled(found, asked, counts) if found.incarnation == collection.incarnation else found

    after = catalogue.change(collection.tenant, collection.name, settle)
    replica.adopt(after)
    return after
