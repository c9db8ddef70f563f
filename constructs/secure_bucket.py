"""A bucket as this project keeps data."""

from collections.abc import Sequence
from datetime import timedelta

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct
from constructs.durations import days
from constructs.location import here
from constructs.statements import ANYBODY, Statement


class SecureBucket(s3.Bucket):
    """Versioned, encrypted, private, reached over TLS 1.3 alone."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        key: kms.IKey | None,
        noncurrent_retention: timedelta,
        retain: bool,
        expiry: timedelta | None = None,
        exempt_roles: Sequence[str] = (),
    ) -> None:
        """:param noncurrent_retention: how long replaced and deleted versions are kept. :param expiry: of objects.

        :param key: None: a key of S3's own, for the few services of AWS that write under no other.
        :param exempt_roles: names of roles as which services of AWS come: these choose their protocol, which need not
            be TLS 1.3. Plain HTTP is refused to them too.
        """
        super().__init__(
            scope,
            id,
            bucket_name=name,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED if key is None else s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=None if key is None else True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="finish-or-forget",
                    expiration=None if expiry is None else days(expiry.days),
                    # Markers of deletions whose versions are all gone; where objects expire, S3 takes them itself.
                    expired_object_delete_marker=True if expiry is None else None,
                    abort_incomplete_multipart_upload_after=days(7),
                    noncurrent_version_expiration=days(noncurrent_retention.days),
                )
            ],
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )
        self.fixed_name = name
        """As given. Unlike ``bucket_name`` it refers to nothing: other stacks name the bucket without an export."""
        self.add_to_resource_policy(
            Statement(
                sid="Tls13",
                effect="Deny",
                principal=ANYBODY,
                actions=["s3:*"],
                resources=[self.bucket_arn, self.arn_for_objects("*")],
                conditions={
                    "NumericLessThan": {"s3:TlsVersion": "1.3"},
                    # AWS's own services choose their protocol themselves.
                    "Bool": {"aws:PrincipalIsAWSService": "false"},
                    **({"ArnNotEquals": {"aws:PrincipalArn": self._arns(exempt_roles)}} if exempt_roles else {}),
                },
            ).as_cdk()
        )

    def _arns(self, role_names: Sequence[str]) -> list[str]:
        return [here(self.stack).arn("iam", f"role/{name}", region="") for name in role_names]
