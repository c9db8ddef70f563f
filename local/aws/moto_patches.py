"""Every change to moto, in one place. `apply` must run before the first request.

Worth giving upstream:

1. CloudFormation: ``Fn::GetStackOutput`` (also across regions), ``{{resolve:ssm:…}}``, ``Ref`` and ``Fn::GetAtt`` of
   models that have no answer or another one than AWS (`intrinsics`).
2. CloudFormation: ``AWS::KMS::Key`` ignores ``MultiRegion``, ``KeySpec`` and ``KeyUsage`` (`_create_key`).
   KMS: ids of multi-region keys have 40 characters instead of 36; their ciphertexts cannot be decrypted (`_rename`).
3. CloudFormation: templates are parsed as YAML first, which takes seconds for large JSON (`_parse_template`);
   a resource that cannot be made is a status 500 without its name. A stack that fails is not rolled back, one that
   is protected can be deleted, a resource that cannot be updated is lost (`lifecycle`).
4. CloudFormation: properties of buckets and functions are left out (`completions`); a key's policy stays an object,
   which ``DescribeKey`` cannot read (`_create_key`); no back ends for ``DynamoDB::GlobalTable``, ``SQS::QueuePolicy``,
   ``KMS::ReplicaKey`` (`back_ends`).
5. DynamoDB: a cancelled transaction replaces the table objects, so whoever holds one keeps the old; its backup copies
   every item of the table, which makes a transaction as slow as the table is long. Answers look every attribute up anew
   as the structure that it is, and streams keep what each item was, forever (`dynamodb`: none is kept). Queries sort
   the whole table; they and scans copy what they read, and translate it for each attribute they show (`item_reads`).
6. Core: every model instance ever made is kept for ``reset()``; a long-running server leaks them.
   Each request lists moto's folder and inspects a class again: caching doubles the throughput (`_core`).
7. Lambda: ``invoke`` answers a failed function like a successful one without Docker (`_invoke`).
   Each function holds a copy of its code in memory (`_shared_code`).
8. CloudFormation: custom resources can be updated and deleted, and fail (`custom_resources`). Health checks cannot be
   changed (`_route53`); several types are not deleted, a protected load balancer is (`deletions`).
9. S3 (`local.aws.buckets`): ``ListObjectVersions`` copies the content of every object of the bucket;
   ``CompleteMultipartUpload`` and ``ListParts`` of an upload that there is not are a status 500. ``ListObjects`` shows
   folders in which all is deleted. Rules of replication are kept, and nothing is replicated.
10. DynamoDB: transactions ignore ``ClientRequestToken`` (`local.aws.transactions`); there are no vector indexes and no
    ``SearchVectors`` (`local.aws.vectors`), and no limits of digits and of transactions' bytes (`…limits`).
11. Server: DynamoDB loses concurrent updates (`local.aws.server` serialises its requests).
"""

import functools
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from moto import backends, settings
from moto.awslambda import models as awslambda
from moto.awslambda.responses import LambdaResponse
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Stack
from moto.core import config, responses, utils
from moto.core.common_models import BaseModel, CloudFormationModel
from moto.kms.models import Key, kms_backends
from moto.kms.responses import KmsResponse
from moto.route53.models import HealthCheck
from moto.sqs.models import Queue

from local.aws import deletions, dynamodb, intrinsics, lifecycle
from local.aws.back_ends import BACK_ENDS
from local.aws.buckets import patches as bucket_patches
from local.aws.completions import complete
from local.aws.custom_resources import CustomResource
from local.aws.generic_resource import GenericResource
from local.aws.vectors import patches
from local.cache.back_ends import back_ends

Invoke = Callable[[str, str, bytes, dict[str, str]], tuple[int, dict[str, str], bytes]]
"""(region, function name or ARN, payload, headers) → status, headers, body."""
_log = logging.getLogger(__name__)


def apply(*, invoke: Invoke, control: str, caches: Mapping[str, int] | None = None) -> None:
    """Patch moto for this process.

    :param control: address of the server's control path, for the answers of custom resources.
    :param caches: port on which the cache of each region is served, where it is.
    """
    settings.S3_IGNORE_SUBDOMAIN_BUCKETNAME = True  # a bucket is what the path names: so it is judged
    CustomResource.invoke, CustomResource.address = staticmethod(invoke), control
    config.default_user_config["iam"] = {"load_aws_managed_policies": True}
    config.default_user_config["lambda"] = {"use_docker": False}
    config.default_user_config["stepfunctions"] = {"execute_state_machine": True}
    _core()
    _cloudformation({**BACK_ENDS, **back_ends(caches or {})})
    dynamodb.apply(_patch)
    _kms()
    _route53()
    bucket_patches.apply(_patch)
    deletions.apply(_patch)
    patches.apply(_patch)
    _patch(Queue, "lambda_event_source_mappings", _Unpolled())
    _patch(LambdaResponse, "invoke", lambda response: _invoke(response, invoke))
    _patch(awslambda, "_s3_content", _shared_code(awslambda._s3_content))


def _patch(owner: Any, name: str, value: Any) -> None:  # noqa: ANN401
    setattr(owner, name, value)


def _core() -> None:
    _patch(BaseModel, "__new__", lambda cls, *_args, **_kwargs: object.__new__(cls))
    modules = frozenset(backends.list_of_moto_modules())
    _patch(backends, "list_of_moto_modules", lambda: modules)
    _patch(responses, "method_names_from_class", functools.cache(utils.method_names_from_class))


class _Unpolled:
    """moto would call the function inside SendMessage; `local.aws.queues` polls instead, as Lambda does."""

    def __get__(self, _queue: object, _owner: object) -> dict[str, object]:
        return {}

    def __set__(self, _queue: object, _value: object) -> None:
        """Ignored."""


def _cloudformation(served: Mapping[str, Any]) -> None:
    original_class = parsing.resource_class_from_type
    original_create = parsing.parse_and_create_resource
    known = parsing.get_model_map()

    def resource_class(kind: str) -> type[CloudFormationModel]:
        if kind.startswith("Custom::") or kind == CustomResource.cloudformation_type():
            return CustomResource
        if kind in parsing.NULL_MODELS or kind in known:
            return original_class(kind)
        back_end: type[CloudFormationModel] = served.get(kind, GenericResource)
        return back_end

    def create(logical_id: str, definition: dict[str, Any], resources: Any, **place: Any) -> Any:  # noqa: ANN401
        try:
            resource: Any = original_create(logical_id, definition, resources, **place)
            if resource is not None:  # else its condition is false
                complete(resource, parsing.clean_json(definition.get("Properties", {}), resources))
        except ValidationError:
            raise
        except Exception as error:
            _log.exception("%s (%s)", logical_id, definition["Type"])
            why = f"cannot be made: {type(error).__name__}: {error}"
            raise lifecycle.ResourceFailedError(logical_id, definition["Type"], why) from error
        return resource

    _patch(parsing, "parse_and_create_resource", create)
    lifecycle.apply(_patch)
    _patch(Stack, "parse_template", staticmethod(_parse_template))
    _patch(parsing, "resource_class_from_type", resource_class)
    _patch(parsing, "clean_json", intrinsics.resolver(parsing.clean_json))
    # Outputs may use attributes that AWS has and moto lacks; `intrinsics` answers them.
    _patch(parsing.ResourceMap, "validate_outputs", lambda _map: None)


def _parse_template(template: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(template, dict):
        return template
    parsed: dict[str, Any] = json.loads(template)
    return parsed


def placeholder(kind: str) -> bool:
    """Whether resources of this type exist on paper only."""
    return parsing.resource_class_from_type(kind) is GenericResource


def _create_key(
    _cls: Any,  # noqa: ANN401
    _name: str,
    /,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
    **_kwargs: object,
) -> Key:
    properties = cloudformation_json["Properties"]
    key = kms_backends[account_id][region_name].create_key(
        policy=json.dumps(properties["KeyPolicy"]),
        key_usage=properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
        key_spec=properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
        description=properties.get("Description", ""),
        tags=properties.get("Tags", []),
        multi_region=properties.get("MultiRegion", False),
    )
    if key.multi_region:
        _rename(key, key.id.replace("-", "").replace("mrk", "mrk-", 1), region_name)
    key.key_rotation_status = properties.get("EnableKeyRotation", False)
    key.enabled = properties.get("Enabled", True)
    return key


def _kms() -> None:
    original = KmsResponse._validate_cmk_id

    def validate(self: KmsResponse, key_id: str) -> None:  # by ARN, because the pattern for ids is wrong too
        prefix = f"arn:aws:kms:{self.region}:{self.current_account}:key/" if key_id.startswith("mrk-") else ""
        original(self, prefix + key_id)

    _patch(Key, "create_from_cloudformation_json", classmethod(_create_key))
    _patch(KmsResponse, "_validate_cmk_id", validate)


def _route53() -> None:
    def change(
        _cls: Any,  # noqa: ANN401
        /,
        original_resource: HealthCheck,
        cloudformation_json: dict[str, Any],
        **_place: object,
    ) -> HealthCheck:
        config = cloudformation_json["Properties"]["HealthCheckConfig"]
        original_resource.fqdn = config.get("FullyQualifiedDomainName")
        original_resource.port = config.get("Port") or 80
        return original_resource

    _patch(HealthCheck, "update_from_cloudformation_json", classmethod(change))


def _rename(key: Key, key_id: str, region: str) -> None:
    backend = kms_backends[key.account_id][region]
    backend.keys[key_id] = backend.keys.pop(key.id)
    key.arn = key.arn.replace(key.id, key_id)
    key.multi_region_configuration["PrimaryKey"]["Arn"] = key.arn
    key.id = key_id


def _shared_code(read: Callable[[Any], tuple[bytes, int, str, str]]) -> Callable[[Any], tuple[bytes, int, str, str]]:
    """``read`` gives (code, size, sha256, digest) of an S3 object: functions with the same code share one copy."""
    codes: dict[str, bytes] = {}

    def shared(key: Any) -> tuple[bytes, int, str, str]:  # noqa: ANN401
        code, size, sha256, digest = read(key)
        return codes.setdefault(sha256, code), size, sha256, digest

    return shared


def _invoke(response: LambdaResponse, invoke: Invoke) -> tuple[int, dict[str, str], bytes]:
    name = response.path.rsplit("/", 2)[-2]
    body = response.body if isinstance(response.body, bytes) else (response.body or "").encode()
    status, headers, content = invoke(response.region, name, body, {k.lower(): v for k, v in response.headers.items()})
    return status, {**headers, "status": str(status)}, content  # moto takes the status from there
