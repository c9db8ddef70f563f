"""CloudFormation types that moto lacks and that the running system needs to be real."""

import json
from typing import Any, ClassVar

from moto.acm.models import acm_backends
from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.kms.models import Key, kms_backends
from moto.sqs.models import sqs_backends

from local.aws.vectors.definitions import definitions
from local.aws.vectors.patches import add_indexes
from local.iam.attached import AttachedPolicy

Json = dict[str, Any]


class _BackEnd(CloudFormationModel):
    """What moto asks of every CloudFormation model."""

    cf_resource_type: str
    logical_resource_id: str
    attributes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, physical_id: str) -> None:
        self.physical_resource_id = physical_id

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What ``Fn::GetAtt`` gives."""
        raise KeyError(attribute_name)

    def delete(self, account_id: str, region: str) -> None:
        """Undo the creation."""

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Whether `get_cfn_attribute` knows it."""
        return attr in cls.attributes


class GlobalTable(_BackEnd):
    """``AWS::DynamoDB::GlobalTable``: a table in each replica's region, all over the same items.

    Replication is therefore instant, unlike in AWS, where it takes about a second.
    """

    attributes = ("Arn", "StreamArn", "TableId")

    def __init__(self, *, home: Table, regions: tuple[str, ...]) -> None:
        super().__init__(str(home.name))
        self._home = home
        self._regions = regions

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """Of the table in the stack's own region."""
        if attribute_name == "TableId":
            return self.physical_resource_id
        return str(self._home.get_cfn_attribute(attribute_name))

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_kwargs: object
    ) -> "GlobalTable":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        name = properties.get("TableName", resource_name)
        vectors = properties.get("VectorIndexes", [])
        definitions(vectors, properties["AttributeDefinitions"], billing_mode=properties.get("BillingMode", ""))
        made = {
            replica["Region"]: _table(name, properties, replica, account_id, replica["Region"])
            for replica in properties["Replicas"]
        }
        home = made[region_name]
        for table in made.values():
            table.items = home.items
        add_indexes(list(made.values()), vectors)
        return cls(home=home, regions=tuple(made))

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "GlobalTable",
        new_resource_name: str,  # noqa: ARG003 - it keeps its name
        cloudformation_json: Json,
        account_id: str,
        region_name: str,  # noqa: ARG003
    ) -> "GlobalTable":
        """Called by moto: replicas come and go, nothing else changes."""
        properties = cloudformation_json["Properties"]
        wanted = {replica["Region"]: replica for replica in properties["Replicas"]}
        original_resource._replicate(wanted, properties, account_id)
        return original_resource

    def _replicate(self, wanted: dict[str, Json], properties: Json, account: str) -> None:
        for region in self._regions:
            if region not in wanted:
                dynamodb_backends[account][region].delete_table(self._home.name)
        for region, replica in wanted.items():
            if region not in self._regions:
                _table(self._home.name, properties, replica, account, region).items = self._home.items
        self._regions = tuple(wanted)
        tables = [dynamodb_backends[account][region].tables[str(self._home.name)] for region in self._regions]
        add_indexes(tables, properties.get("VectorIndexes", []))

    def delete(self, account_id: str, _region: str) -> None:
        """Called by moto."""
        for region in self._regions:
            dynamodb_backends[account_id][region].delete_table(self._home.name)


def _table(name: str, properties: Json, replica: Json, account: str, region: str) -> Table:
    backend = dynamodb_backends[account][region]
    sse = properties.get("SSESpecification")
    if sse is not None:
        key = replica.get("SSESpecification", {}).get("KMSMasterKeyId", "")
        sse = {"Enabled": sse.get("SSEEnabled", False), "SSEType": sse.get("SSEType", "KMS"), "KMSMasterKeyId": key}
    streams = properties.get("StreamSpecification")
    table = backend.create_table(
        name,
        schema=properties["KeySchema"],
        throughput=None,
        attr=properties["AttributeDefinitions"],
        global_indexes=properties.get("GlobalSecondaryIndexes", []),
        indexes=properties.get("LocalSecondaryIndexes", []),
        streams=streams and {"StreamEnabled": True, **streams},
        billing_mode=properties.get("BillingMode", "PROVISIONED"),
        sse_specification=sse,
        tags=replica.get("Tags", []),
        deletion_protection_enabled=replica.get("DeletionProtectionEnabled", False),
        warm_throughput=properties.get("WarmThroughput"),
    )
    ttl = properties.get("TimeToLiveSpecification")
    if ttl and ttl.get("Enabled"):
        backend.update_time_to_live(name, ttl)
    recovery = replica.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled", False)
    backend.update_continuous_backups(name, {"PointInTimeRecoveryEnabled": recovery})
    return table


class QueuePolicy(_BackEnd):
    """``AWS::SQS::QueuePolicy``."""

    def __init__(self, *, name: str, urls: list[str]) -> None:
        super().__init__(name)
        self._urls = urls

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_kwargs: object
    ) -> "QueuePolicy":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        made = cls(name=resource_name, urls=properties["Queues"])
        made._apply(account_id, region_name, json.dumps(properties["PolicyDocument"]))
        return made

    def delete(self, account_id: str, region: str) -> None:
        """Called by moto."""
        self._apply(account_id, region, None)

    def _apply(self, account: str, region: str, policy: str | None) -> None:
        for url in self._urls:
            queue = sqs_backends[account][region].queues.get(url.rpartition("/")[2])
            if queue is not None:
                queue.policy = policy


class ReplicaKey(_BackEnd):
    """``AWS::KMS::ReplicaKey``: the primary's material under the same id in this region."""

    attributes = ("Arn", "KeyId")

    def __init__(self, key: Key) -> None:
        super().__init__(str(key.id))
        self._key = key

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """``Arn`` or ``KeyId``."""
        return str(self._key.arn if attribute_name == "Arn" else self._key.id)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003 - keys have none
        cloudformation_json: Json,
        account_id: str,
        region_name: str,
        **_kwargs: object,
    ) -> "ReplicaKey":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        primary = properties["PrimaryKeyArn"].split(":")
        key = kms_backends[account_id][primary[3]].replicate_key(primary[5].removeprefix("key/"), region_name)
        key.policy = json.dumps(properties["KeyPolicy"])
        key.description = properties.get("Description", "")
        key.aliases = {}
        return cls(key)

    def delete(self, account_id: str, region: str) -> None:
        """Called by moto."""
        kms_backends[account_id][region].delete_key(self._key.id)


class Certificate(_BackEnd):
    """``AWS::CertificateManager::Certificate``: issued at once, whoever owns the domain."""

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Json,
        account_id: str,
        region_name: str,
        **_kwargs: object,
    ) -> "Certificate":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        names = properties.get("SubjectAlternativeNames", [])
        backend = acm_backends[account_id][region_name]
        return cls(str(backend.request_certificate(properties["DomainName"], resource_name, names, [])))

    def delete(self, account_id: str, region: str) -> None:
        """Called by moto."""
        acm_backends[account_id][region].delete_certificate(self.physical_resource_id)


BACK_ENDS: dict[str, Any] = {
    "AWS::CertificateManager::Certificate": Certificate,
    "AWS::DynamoDB::GlobalTable": GlobalTable,
    "AWS::KMS::ReplicaKey": ReplicaKey,
    "AWS::S3::BucketPolicy": AttachedPolicy,
    "AWS::SNS::TopicPolicy": AttachedPolicy,
    "AWS::SQS::QueuePolicy": QueuePolicy,
}
