"""Global Accelerator: two addresses for the whole world, behind which regions register themselves."""

from aws_cdk import aws_globalaccelerator as globalaccelerator
from aws_cdk import aws_s3 as s3
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, services

_DELIVERY = "delivery.logs.amazonaws.com"
_PREFIX = "accelerator"


class AcceleratedEntry(Construct):
    """An accelerator with one listener and no endpoint yet; its flow logs go to a bucket."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        port: int,
        log_bucket: s3.Bucket,
    ) -> None:
        """:param port: on which it accepts TCP; TLS ends at the endpoints."""
        super().__init__(scope, id)
        self.resource = globalaccelerator.CfnAccelerator(
            self,
            "Accelerator",
            name=name,
            ip_address_type="IPV4",  # as the internal balancers behind it
            flow_logs_enabled=True,
            flow_logs_s3_bucket=log_bucket.bucket_name,
            flow_logs_s3_prefix=_PREFIX,
        )
        self._open_bucket(log_bucket)
        self.listener = globalaccelerator.CfnListener(
            self,
            "Listener",
            accelerator_arn=self.resource.attr_accelerator_arn,
            protocol="TCP",
            port_ranges=[globalaccelerator.CfnListener.PortRangeProperty(from_port=port, to_port=port)],
            client_affinity="NONE",
        )

    def _open_bucket(self, bucket: s3.Bucket) -> None:
        account = here(self).account
        from_here = {"aws:SourceAccount": account}
        bucket.add_to_resource_policy(
            Statement(
                sid="FlowLogs",
                principal=services(_DELIVERY),
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{_PREFIX}/AWSLogs/{account}/*")],
                conditions={"StringEquals": from_here | {"s3:x-amz-acl": "bucket-owner-full-control"}},
            ).as_cdk()
        )
        bucket.add_to_resource_policy(
            Statement(
                sid="FlowLogsCheck",
                principal=services(_DELIVERY),
                actions=["s3:GetBucketAcl", "s3:ListBucket"],
                resources=[bucket.bucket_arn],
                conditions={"StringEquals": from_here},
            ).as_cdk()
        )
        if bucket.policy is not None:
            # Global Accelerator tries the bucket when flow logs are switched on.
            self.resource.node.add_dependency(bucket.policy)
