"""CloudFormation types that moto lacks and that the running system needs to be real."""

import json
from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.kms.models import Key, kms_backends
from moto.sqs.models import sqs_backends

Json = dict[str, Any]


class GlobalTable(CloudFormationModel):
    """``AWS::DynamoDB::GlobalTable``: a table in each replica's region, all over the same items.

    Replication is therefore instant, unlike in AWS, where it takes about a second.
    """

    cf_resource_type: str
    logical_resource_id: str

    def __init__(self, *, home: Table, regions: tuple[str, ...]) -> None:
        self._home = home
        self._regions = regions

    @property
    def physical_resource_id(self) -> str:
        """The table's name."""
        return str(self._home.name)

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """Of the table in the stack's own region."""
        return {"TableId": str(self._home.name)}.get(attribute_name) or str(
            self._home.get_cfn_attribute(attribute_name)
        )

    @staticmethod
    def cloudformation_name_type() -> str:
        """Property with the name."""
        return "TableName"

    @staticmethod
    def cloudformation_type() -> str:
        """The type served."""
        return "AWS::DynamoDB::GlobalTable"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Whether `get_cfn_attribute` knows it."""
        return attr in ("Arn", "StreamArn", "TableId")

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_kwargs: object
    ) -> "GlobalTable":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        replicas: list[Json] = properties["Replicas"]
        made = {
            replica["Region"]: _table(resource_name, properties, replica, account_id, replica["Region"])
            for replica in replicas
        }
        home = made[region_name]
        for table in made.values():
            table.items = home.items
        return cls(home=home, regions=tuple(made))

    def delete(self, account_id: str, _region: str) -> None:
        """Called by moto."""
        for region in self._regions:
            dynamodb_backends[account_id][region].delete_table(self._home.name)


def _table(name: str, properties: Json, replica: Json, account: str, region: str) -> Table:
    backend = dynamodb_backends[account][region]
    sse = properties.get("SSESpecification")
    if sse is not None:
        sse = dict(sse) | {"KMSMasterKeyId": replica.get("SSESpecification", {}).get("KMSMasterKeyId", "")}
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
        warm_throughput=None,
    )
    ttl = properties.get("TimeToLiveSpecification")
    if ttl and ttl.get("Enabled"):
        backend.update_time_to_live(name, ttl)
    recovery = replica.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled", False)
    backend.update_continuous_backups(name, {"PointInTimeRecoveryEnabled": recovery})
    return table


class QueuePolicy(CloudFormationModel):
    """``AWS::SQS::QueuePolicy``."""

    cf_resource_type: str
    logical_resource_id: str

    def __init__(self, *, name: str, urls: list[str], account: str, region: str) -> None:
        self.physical_resource_id = name
        self._urls = urls
        self._account = account
        self._region = region

    @staticmethod
    def cloudformation_name_type() -> str:
        """It has none."""
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        """The type served."""
        return "AWS::SQS::QueuePolicy"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Only its id."""
        return attr == "Id"

    def get_cfn_attribute(self, _name: str) -> str:
        """Its id."""
        return self.physical_resource_id

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_kwargs: object
    ) -> "QueuePolicy":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        made = cls(name=resource_name, urls=properties["Queues"], account=account_id, region=region_name)
        made.apply(properties["PolicyDocument"])
        return made

    def apply(self, document: Json | None) -> None:
        """Set the policy of every queue, or take it off."""
        for url in self._urls:
            queue = sqs_backends[self._account][self._region].queues.get(url.rpartition("/")[2])
            if queue is not None:
                queue.policy = None if document is None else json.dumps(document)

    def delete(self, *_: object) -> None:
        """Called by moto."""
        self.apply(None)


class ReplicaKey(CloudFormationModel):
    """``AWS::KMS::ReplicaKey``: the primary's material under the same id in this region."""

    cf_resource_type: str
    logical_resource_id: str

    def __init__(self, key: Key) -> None:
        self._key = key

    @property
    def physical_resource_id(self) -> str:
        """The key's id."""
        return str(self._key.id)

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """``Arn`` or ``KeyId``."""
        return str(self._key.arn if attribute_name == "Arn" else self._key.id)

    @staticmethod
    def cloudformation_name_type() -> str:
        """It has none."""
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        """The type served."""
        return "AWS::KMS::ReplicaKey"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Whether `get_cfn_attribute` knows it."""
        return attr in ("Arn", "KeyId")

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, _resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_kwargs: object
    ) -> "ReplicaKey":
        """Called by moto."""
        properties = cloudformation_json["Properties"]
        primary_region, key_id = properties["PrimaryKeyArn"].split(":")[3], properties["PrimaryKeyArn"].split("/")[-1]
        key = kms_backends[account_id][primary_region].replicate_key(key_id, region_name)
        key.policy = properties["KeyPolicy"]
        key.description = properties.get("Description", "")
        key.aliases = {}
        return cls(key)

    def delete(self, account_id: str, region: str) -> None:
        """Called by moto."""
        kms_backends[account_id][region].delete_key(self._key.id)
