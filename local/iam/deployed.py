"""What moto holds that decides about calls: roles, their policies, those of resources, and keys that encrypt them."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.iam.models import ManagedPolicy, Role, iam_backends
from moto.kms.models import kms_backends
from moto.kms.utils import _deserialize_ciphertext_blob
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sqs.models import sqs_backends

from local.iam.attached import attached
from local.iam.decisions import Policies, Statements
from local.iam.policies import parse

ACCOUNT = DEFAULT_ACCOUNT_ID
_S3 = "arn:aws:s3:::"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One action that a role's policy allows, on one of the resources that it names there."""

    role: str
    """Name of the role."""
    sid: str
    action: str
    resource: str


def grants() -> Iterator[Grant]:
    """Everything that the policies of every role allow, but what AWS's own managed policies say."""
    for role in list(iam_backends[ACCOUNT]["aws"].roles.values()):
        for statement in (s for document in _inline(role) for s in parse(document) if s.effect == "Allow"):
            for action in statement.actions.of:
                for resource in statement.resources.of:
                    yield Grant(role=role.name, sid=statement.sid, action=action, resource=resource)


def policies(role_arn: str, resource: str) -> Policies:
    """Everything that speaks about a role and a resource.

    :raises UnsupportedError: a document has elements that are not understood.
    """
    document = _resource_policy(resource)
    on_resource = () if document is None else parse(document)
    role = _role(role_arn)
    if role is None:
        return Policies(identity=(), resource=on_resource)
    return Policies(
        identity=tuple(statement for text in _documents(role) for statement in parse(text)),
        boundary=_boundary(role),
        resource=on_resource,
    )


def _boundary(role: Role) -> Statements | None:
    if not role.permissions_boundary_arn:
        return None
    policy = iam_backends[ACCOUNT]["aws"].managed_policies.get(role.permissions_boundary_arn)
    return () if policy is None else parse(_managed(policy))


def _role(arn: str) -> Role | None:
    name = arn.rpartition("/")[2]
    return next((role for role in list(iam_backends[ACCOUNT]["aws"].roles.values()) if role.name == name), None)


def _documents(role: Role) -> Iterator[str]:
    yield from _inline(role)
    for policy in list(role.managed_policies.values()):
        yield _managed(policy)


def _inline(role: Role) -> Iterator[str]:
    yield from map(_text, list(role.policies.values()))


def _managed(policy: ManagedPolicy) -> str:
    return next(
        _text(version.document) for version in policy.versions if version.version_id == policy.default_version_id
    )


def _text(document: Any) -> str:  # noqa: ANN401 - moto keeps what it was given
    return document if isinstance(document, str) else json.dumps(document)


def _resource_policy(arn: str) -> str | None:
    service, region, name = _parts(arn)
    if service == "s3":
        return attached(_S3 + name.partition("/")[0])
    if service == "sns":
        return attached(arn)
    if service == "sqs":
        queue = sqs_backends[ACCOUNT][region].queues.get(name)
        return queue.policy if queue is not None else None
    if service == "kms":
        key = kms_backends[ACCOUNT][region].keys.get(name.removeprefix("key/"))
        return key.policy if key is not None else None
    return None


def _parts(arn: str) -> tuple[str, str, str]:
    """Service, region, and what follows the account; empty where it is no ARN."""
    parts = arn.split(":", 5)
    return (parts[2], parts[3], parts[5]) if len(parts) == 6 else ("", "", "")


def key_arn(region: str, key_id: str) -> str:
    """Of a key by id, alias or ARN; an ARN of that form for one that does not exist."""
    backend = kms_backends[ACCOUNT][region]
    with contextlib.suppress(Exception):  # an alias of nothing
        key = backend.keys.get(backend.any_id_to_key_id(key_id))
        if key is not None:
            return str(key.arn)
    return key_id if key_id.startswith("arn:") else f"arn:aws:kms:{region}:{ACCOUNT}:key/{key_id}"


def key_of(ciphertext: bytes) -> str:
    """Id of the key that made it."""
    return str(_deserialize_ciphertext_blob(ciphertext).key_id)


def key_aliases(arn: str) -> tuple[str, ...]:
    """Aliases of a key."""
    _, region, name = _parts(arn)
    key = kms_backends[ACCOUNT][region].keys.get(name.removeprefix("key/"))
    return tuple(sorted(key.aliases)) if key is not None else ()


def table_key(region: str, table: str) -> str | None:
    """The customer's key that a table is encrypted under."""
    found = dynamodb_backends[ACCOUNT][region].tables.get(table)
    key = ((found and found.sse_specification) or {}).get("KMSMasterKeyId")
    return key_arn(region, key) if key else None


def queue_key(region: str, queue: str) -> str | None:
    """The customer's key that a queue is encrypted under."""
    found = sqs_backends[ACCOUNT][region].queues.get(queue)
    key = getattr(found, "kms_master_key_id", None)
    return key_arn(region, key) if key else None


def bucket_key(bucket: str) -> str | None:
    """The customer's key that a bucket's objects are encrypted under, unless they are put with another."""
    found = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    rule = ((found and found.encryption) or {}).get("Rule", {})
    key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
    return key_arn(bucket_region(bucket) or "us-east-1", key) if key else None


def bucket_region(bucket: str) -> str | None:
    """None where there is no such bucket."""
    found = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    return str(found.region_name) if found is not None else None


def has_object(bucket: str, key: str) -> bool:
    """Whether the bucket holds an object of that name."""
    found = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    return found is not None and found.keys.get(key) is not None


def secret_arn(region: str, secret_id: str) -> str:
    """Of a secret by name or ARN; one with an unknown end for what does not exist."""
    found = secretsmanager_backends[ACCOUNT][region].secrets.get(secret_id)
    if found is not None:
        return str(found.arn)
    if secret_id.startswith("arn:"):
        return secret_id
    return f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{secret_id}-??????"
