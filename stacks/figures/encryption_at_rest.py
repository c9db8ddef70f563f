"""What realises ``encryption.at_rest``."""

from collections.abc import Iterator, Mapping

from stacks.figures.inspection import Inspection, Rules, Test, equals
from stacks.figures.templates import Resource


def _own_key(value: object) -> bool:
    """A key of the project: those that AWS keeps for a service are shared by everything in the account."""
    return bool(value) and "alias/aws/" not in str(value)


_DISKS = "LaunchTemplateData.BlockDeviceMappings"
_DEFAULT = "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault"
AT_REST: Mapping[str, Mapping[str, Test]] = {
    "AWS::S3::Bucket": {f"{_DEFAULT}.SSEAlgorithm": equals("aws:kms"), f"{_DEFAULT}.KMSMasterKeyID": _own_key},
    "AWS::DynamoDB::GlobalTable": {
        "SSESpecification.SSEEnabled": equals(True),
        "SSESpecification.SSEType": equals("KMS"),
        "Replicas.*.SSESpecification.KMSMasterKeyId": _own_key,
    },
    "AWS::SQS::Queue": {"KmsMasterKeyId": _own_key},
    "AWS::SNS::Topic": {"KmsMasterKeyId": _own_key},
    "AWS::Logs::LogGroup": {"KmsKeyId": _own_key},
    "AWS::APS::Workspace": {"KmsKeyArn": _own_key},
    "AWS::Backup::BackupVault": {"EncryptionKeyArn": _own_key},
    "AWS::ElastiCache::ReplicationGroup": {"AtRestEncryptionEnabled": equals(True), "KmsKeyId": _own_key},
    "AWS::EC2::LaunchTemplate": {f"{_DISKS}.*.Ebs.Encrypted": equals(True), f"{_DISKS}.*.Ebs.KmsKeyId": _own_key},
    "AWS::SecretsManager::Secret": {"KmsKeyId": _own_key},
}
"""Where each type of resource that keeps data says how it is encrypted."""


def _method(look: Inspection) -> None:
    for kind, properties in AT_REST.items():
        found = look.templates.of(kind)
        for resource in found:
            if kind == "AWS::S3::Bucket" and _holds_logs_of_a_balancer(look, resource):
                # ELB writes its logs under a key of S3's own and under no other: also AES-256, managed by AWS alone.
                look.show(resource, f"{_DEFAULT}.SSEAlgorithm", equals("AES256"))
                continue
            for pattern, test in properties.items():
                for path in _paths(resource, pattern):
                    look.show(resource, path, test)
        if not found and kind not in _absent(look):
            look.miss(look.name("*"), kind)


def _paths(resource: Resource, pattern: str) -> Iterator[str]:
    """``pattern`` for each member of the list that its asterisk stands for; with none of them, as if for a first."""
    before, asterisk, after = pattern.partition("*")
    members = resource.get(before.rstrip(".")) if asterisk else None
    for position in range(max(1, len(members or []))):
        yield f"{before}{position}{after}" if asterisk else pattern


def _absent(look: Inspection) -> set[str]:
    """What the environment has none of."""
    deployment = look.settings.deployment
    there = {
        "AWS::ElastiCache::ReplicationGroup": deployment.cache,
        "AWS::SecretsManager::Secret": deployment.vault.cluster,
    }
    return {kind for kind, settings in there.items() if settings is None}


def _holds_logs_of_a_balancer(look: Inspection, bucket: Resource) -> bool:
    return any(
        attribute["Key"] == "access_logs.s3.bucket" and attribute["Value"] == {"Ref": bucket.id}
        for balancer in look.templates.of("AWS::ElasticLoadBalancingV2::LoadBalancer", stack=bucket.stack)
        for attribute in balancer.get("LoadBalancerAttributes") or []
    )


def _rotation(look: Inspection) -> None:
    """Replicas of a key take part in its rotation and cannot have one of their own."""
    days = look.settings.encryption.at_rest.key_rotation.days
    look.in_stack(look.name("global", "keys"), "AWS::KMS::Key")
    for key in look.templates.of("AWS::KMS::Key"):
        look.show(key, "EnableKeyRotation", equals(True))
        look.show(key, "RotationPeriodInDays", equals(days))
    for leader in look.in_stack(look.name("global", "key-leader"), "AWS::Lambda::Function"):
        look.show(leader, "Environment.Variables.ROTATION_SECONDS", equals(str(days * 86_400)))
    for replica in look.templates.of("AWS::KMS::ReplicaKey"):  # rotates when its primary does, which is one of these
        primaries = look.templates.targets(replica, "PrimaryKeyArn")
        agrees = [primary.kind for primary in primaries] == ["AWS::KMS::Key"]
        look.note(replica, "PrimaryKeyArn", replica.get("PrimaryKeyArn"), agrees=agrees)


RULES: Rules = {
    "encryption.at_rest.method": _method,
    "encryption.at_rest.key_rotation": _rotation,
}
