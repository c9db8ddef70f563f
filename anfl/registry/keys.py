"""Keys of the registry table, and the access patterns that they serve.

========================  ===============================  =======================================================
pk                        sk                               item
========================  ===============================  =======================================================
``{t}#models``            ``{name}``                       the model: everything but its versions and large tags
``{t}#versions``          ``{id}#{number}``                a version
``{t}#runs``              ``{hash of run}#{id}#{number}``  a version that a run made, and its model's name at that time
``{t}#model#{id}``        ``stage#{stage}#{number}``       membership of a version in a stage
``{t}#model#{id}``        ``t#{key}``                      a tag of the model too large for its record
``{t}#model#{id}``        ``v#{number}#{key}``             a tag of a version too large for its record
``{t}#model#{id}``        ``check#{number}``               the validation's state and verdict
``{t}#model#{id}``        ``approval#{number}#{uuid}``     a request for approval of a version
``{t}#model#{id}``        ``signature#{number}#{key}``     a signature of a version
``{t}#keys``              ``{key}``                        a public key whose signatures the tenant believes
``{t}#policies``          ``{alias}``                      the tenant's own policy for an alias
``{t}#locations``         ``{path}``                       a place in the store that versions name, and its files
``{t}#digests``           ``{path}``                       sha256 of the file that was last uploaded there
``{t}#webhooks``          ``{id}``                         a webhook
``{t}#deleted``           ``{id}``                         tombstone of a model whose items are still being removed
``{t}#model#{id}``        ``name``                         the model's name, once it was renamed: ids lead to records
``{t}#audit#{chain}``     ``{sequence}``                   an entry of the audit (`anfl.registry.audit`), never changed
``{t}#chains``            ``{hash of name}#{id}``          which model had which name, also when it is deleted
``{t}#chains``            ``tenant``                       end of the chain of what concerns no single model
``#outbox``               ``{moment}#{uuid}``              a letter that is still to be sent (`anfl.registry.outbox`)
``#sweeper``              ``lease``                        until when one process alone sends what others left behind
``#data-keys``            ``_secrets/{t}/{region}``        a wrapped data key (`anfl.registry.sealed_secrets`)
========================  ===============================  =======================================================

``t`` is the tenant (no ``#`` in it): a caller reaches only keys that begin with its own. ``id`` is a uuid, ``number``
has ten digits.

==========================  ========================================================================================
operation                   calls (``r`` read, ``w`` write, ``T`` one transaction)
==========================  ========================================================================================
get model                   1 r: record and its latest versions in one batch (2 r when the process has not seen it)
get version, by alias       1 r (2 r when the process has not seen the model, or an alias is one of very many)
create model                1 T (conditional on the name being free)
update, tag a model         1 r + 1 T (1 r more where a tag over 4 KB is replaced or removed)
create version              1 r + 1 T: counter, version, membership, pending check — numbers are unique and gap-free;
                            1 r more where the artefacts lie in the store, 2 r more where they were never named before
alias                       2 r + 1 T: moves atomically, and only to a version that exists and has what the policy asks
                            for (1 r more for each of verdict, approvals, signatures); removing one 1 r + 1 T
approval                    ask 2 r + 1 T; decide 2 r (3 r to approve) + 1 T; list 2 r
policies                    list 1 r; set, delete 1–2 r + 1 T
signature                   add 3 r + 1 T; list 1–2 r + 3 r each, and 2 r each where they decide about an alias
keys of signatures          list 1 r; add, remove 2 r + 1 T
update, tag a version       1–2 r + 1 T
validation asked, recorded  1–2 r + 1 T
transition, delete version  1–4 r + 1 T (archiving others: 1 T per 30 versions or 3 MB)
rename                      2 r + 1 T, whatever the number of versions
upload, presigned upload    2 r + 1 w (1 r + 0 w); presigned download and download 1–2 r; delete an artefact 4 r + 1 w
webhooks                    get, list 1 r; create 2 r + 1 T; update, delete 1 r + 1 T; 1 r more an hour for each tenant
                            where there are secrets, and 1 w for its first one in a region; signing a delivery 1 r
audit                       2–3 r: whose name it is, the record, a page of 8 MB at most, 1 MB a call
delete model                1 r + 1 T, then removal of what hung off it (1 r + 1 w for each place that its versions
                            name, of each 100 of them); interrupted, the tombstone's sweep finishes
letters                     part of the change's T; once sent 1 w for up to 25, in the background; webhooks of a tenant
                            1 r in ten seconds; what was left behind 1 r a process each 15-30 s, 2 r + 2 w if any
search models               pages of 1 MB over the tenant's models by name, from the cursor; 1 r per 100 versions shown
search versions             of up to 100 named models: 1 r each + their versions; of up to 100 runs: 1 r each + 1 r for
                            all models (up to 100) of which they made versions (1 r more for each renamed one) + those
                            models' versions; else pages of
                            1 MB over the tenant's models, and versions of those that changed since the process last
                            looked (`anfl.registry.known`): 1 r per 50 models + 1 r per 100 versions (1 r for each model
                            of more than 25), or pages of 1 MB over the tenant's models and versions the first time,
                            after 10 minutes and where more than 500 changed (no versions where a filter on names holds
                            for no model). Of a tenant whose versions are too many to
                            be kept (64 MB), and by the first search of a process that has a filter: pages of 1 MB over
                            all its versions, then over its models (as far as the page reaches in the order of names,
                            otherwise all; none where no version can match; first where a filter is on names)
==========================  ========================================================================================

A search reads, and pays for, all records in its range; by their marks (`anfl.registry.marks`) DynamoDB hands over only
those that can match, and of them only key and document. Where a process knows the versions already it is handed the
models' revisions alone.

All reads are strongly consistent, so what a client wrote it finds; hence no operation uses the table's index.
Every record carries a revision and every write is conditional on the one that was read. Whatever changes of a model,
its versions or what hangs off it also raises the model's revision, because each change leaves an entry in the model's
audit, in the same transaction, and the revision counts these: a lost race shows as a failed condition and the operation
starts again from its read. Changes of one model thus come one after another; those of different models do not meet.
"""

import hashlib

from anfl.registry.entities import Stage
from anfl.resources import PARTITION_KEY, SORT_KEY

Key = dict[str, str]
"""pk and sk."""
LARGEST_NUMBER = 9_999_999_999
MAX_SORT_KEY_BYTES = 1024
"""DynamoDB's limit."""
OUTBOX = "#outbox"
"""Partition of letters that are still to be sent, of all tenants."""
DATA_KEYS = "#data-keys"
"""Partition of wrapped data keys, of all tenants."""
SECRETS = "_secrets/"
"""Begins the places of those that seal secrets; Vault's policies know it (`vault/policies`)."""
APPROVALS = "approval#"
"""Prefix of requests for approval among what hangs off a model."""


def _key(partition: str, sort: str) -> Key:
    return {PARTITION_KEY: partition, SORT_KEY: sort}


def fits(name: str) -> bool:
    """Whether a name can be a sort key."""
    return 0 < len(name.encode()) <= MAX_SORT_KEY_BYTES


def models(tenant: str) -> str:
    """Partition of a tenant's models."""
    return f"{tenant}#models"


def model(tenant: str, name: str) -> Key:
    """A model's record."""
    return _key(models(tenant), name)


def versions(tenant: str) -> str:
    """Partition of a tenant's versions, of all models."""
    return f"{tenant}#versions"


def versions_of(model_id: str) -> str:
    """Prefix of a model's versions in `versions`."""
    return f"{model_id}#"


def version(tenant: str, model_id: str, number: int) -> Key:
    """A version's record."""
    return _key(versions(tenant), f"{versions_of(model_id)}{number:010d}")


def runs(tenant: str) -> str:
    """Partition of what runs made."""
    return f"{tenant}#runs"


def made_by(run_id: str) -> str:
    """Prefix of what a run made in `runs`. Hashed: run ids are as long as callers like."""
    return f"{hashlib.sha256(run_id.encode()).hexdigest()}#"


def made(tenant: str, run_id: str, model_id: str, number: int) -> Key:
    """That a run made a version."""
    return _key(runs(tenant), f"{made_by(run_id)}{model_id}#{number:010d}")


def belongings(tenant: str, model_id: str) -> str:
    """Partition of what hangs off one model apart from its versions."""
    return f"{tenant}#model#{model_id}"


def members(stage: Stage) -> str:
    """Prefix of a stage's memberships in `belongings`."""
    return f"stage#{stage}#"


def member(tenant: str, model_id: str, stage: Stage, number: int) -> Key:
    """Membership of a version in a stage."""
    return _key(belongings(tenant, model_id), f"{members(stage)}{number:010d}")


def tag_prefix(number: int | None) -> str:
    """Prefix of the large tags of a version, or of the model itself where ``number`` is None."""
    return "t#" if number is None else f"v#{number:010d}#"


def tag(tenant: str, model_id: str, number: int | None, key: str) -> Key:
    """A large tag."""
    return _key(belongings(tenant, model_id), tag_prefix(number) + key)


def check(tenant: str, model_id: str, number: int) -> Key:
    """A version's validation."""
    return _key(belongings(tenant, model_id), f"check#{number:010d}")


def renamed(tenant: str, model_id: str) -> Key:
    """The name that a renamed model has now."""
    return _key(belongings(tenant, model_id), "name")


def chain(tenant: str, name: str) -> str:
    """Partition of the entries of an audit chain."""
    return f"{tenant}#audit#{name}"


def entry(tenant: str, name: str, sequence: int) -> Key:
    """An entry of an audit chain."""
    return _key(chain(tenant, name), f"{sequence:012d}")


def chains(tenant: str) -> str:
    """Partition that tells which chains there are."""
    return f"{tenant}#chains"


def bearers(name: str) -> str:
    """Prefix of the models in `chains` that have, or had, a name."""
    return f"{hashlib.sha256(name.encode()).hexdigest()}#"


def bearer(tenant: str, name: str, model_id: str) -> Key:
    """That a model has, or had, a name."""
    return _key(chains(tenant), f"{bearers(name)}{model_id}")


def tenant_head(tenant: str) -> Key:
    """End of the chain of what concerns no single model."""
    return _key(chains(tenant), "tenant")


def policies(tenant: str) -> str:
    """Partition of a tenant's own policies."""
    return f"{tenant}#policies"


def policy(tenant: str, alias: str) -> Key:
    """A tenant's own policy for an alias."""
    return _key(policies(tenant), alias)


def approvals_of(number: int) -> str:
    """A version's requests, after `APPROVALS`."""
    return f"{number:010d}#"


def approval(tenant: str, model_id: str, number: int, request: str) -> Key:
    """A request for approval."""
    return _key(belongings(tenant, model_id), f"{APPROVALS}{approvals_of(number)}{request}")


def signatures_of(number: int) -> str:
    """Prefix of a version's signatures in `belongings`."""
    return f"signature#{number:010d}#"


def signature(tenant: str, model_id: str, number: int, key_id: str) -> Key:
    """A version's signature by a key."""
    return _key(belongings(tenant, model_id), signatures_of(number) + key_id)


def signing_keys(tenant: str) -> str:
    """Partition of the keys whose signatures a tenant believes."""
    return f"{tenant}#keys"


def signing_key(tenant: str, key_id: str) -> Key:
    """A key whose signatures a tenant believes."""
    return _key(signing_keys(tenant), key_id)


def deleted(tenant: str) -> str:
    """Partition of tombstones."""
    return f"{tenant}#deleted"


def tombstone(tenant: str, model_id: str) -> Key:
    """Tombstone of a model."""
    return _key(deleted(tenant), model_id)


def webhooks(tenant: str) -> str:
    """Partition of a tenant's webhooks."""
    return f"{tenant}#webhooks"


def webhook(tenant: str, webhook_id: str) -> Key:
    """A webhook."""
    return _key(webhooks(tenant), webhook_id)


def tenant_of_webhooks(partition: str) -> str | None:
    """Whose `webhooks` a partition holds; None where it holds something else."""
    tenant, _, rest = partition.partition("#")
    return tenant if tenant and rest == "webhooks" else None


def locations(tenant: str) -> str:
    """Partition of the places in the artefact store that versions name."""
    return f"{tenant}#locations"


def location(tenant: str, path: str) -> Key:
    """A place in the artefact store that versions name."""
    return _key(locations(tenant), path)


def digest(tenant: str, path: str) -> Key:
    """The digest of an uploaded file."""
    return _key(f"{tenant}#digests", path)


def letter(at: int, letter_id: str) -> Key:
    """A letter that is still to be sent, in the order in which they were promised; ``at`` in milliseconds."""
    return _key(OUTBOX, f"{at:013d}#{letter_id}")


def sweeper() -> Key:
    """The lease of the process that sends what others left behind."""
    return _key("#sweeper", "lease")


def data_key_place(tenant: str, region: str) -> str:
    """Where a data key for secrets stands that was made in a region, and its context."""
    return f"{SECRETS}{tenant}/{region}"


def data_key(place: str) -> Key:
    """A wrapped data key."""
    return _key(DATA_KEYS, place)
