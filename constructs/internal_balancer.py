"""The region's one internal load balancer, with listener rules for every service's paths."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_s3 as s3
from constructs import Construct
from constructs.camel import camel
from constructs.location import here
from constructs.statements import Statement, services

from anfl.problems import not_found
from anfl.resources import Service

T = TypeVar("T")
_LOG_PREFIX = "balancer"
_VALUES_A_RULE = 5
"""ELB's limit on condition values."""


class InternalBalancer(Construct):
    """Application load balancer in private subnets; what no rule names is a 404 problem document."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        vpc_id: str,
        subnet_ids: Sequence[str],
        security_group_id: str,
        port: int,
        health_path: str,
        paths: Mapping[Service, Sequence[str]],
        certificate_arn: str | None,
        tls_policy: str,
        retain: bool,
        log_bucket: s3.Bucket | None = None,
    ) -> None:
        """:param paths: path patterns by service. :param certificate_arn: HTTPS with it, plain HTTP without.

        :param log_bucket: under a key of S3's own (ELB writes under no other), for a line about each request.
        """
        super().__init__(scope, id)
        attribute = elb.CfnLoadBalancer.LoadBalancerAttributeProperty
        self.balancer = elb.CfnLoadBalancer(
            self,
            "Balancer",
            name=name,
            type="application",
            scheme="internal",
            subnets=list(subnet_ids),
            security_groups=[security_group_id],
            load_balancer_attributes=[
                attribute(key="deletion_protection.enabled", value=str(retain).lower()),
                attribute(key="routing.http.drop_invalid_header_fields.enabled", value="true"),
                attribute(key="routing.http.desync_mitigation_mode", value="strictest"),
                attribute(key="idle_timeout.timeout_seconds", value="120"),
                *(attribute(key=key, value=value) for key, value in _access_logs(log_bucket).items()),
            ],
        )
        if log_bucket is not None:
            self._open_bucket(log_bucket)
        self.arn = self.balancer.ref
        self.listener = self._listener(certificate_arn, tls_policy)
        self.target_groups = {service: self._target_group(service, vpc_id, port, health_path) for service in paths}
        self.rules = list(self._rules(paths))

    def _open_bucket(self, bucket: s3.Bucket) -> None:
        """ELB writes below the account's own folder, and tries it when access logs are switched on."""
        account = here(self).account
        bucket.add_to_resource_policy(
            Statement(
                sid="AccessLogs",
                principal=services("logdelivery.elasticloadbalancing.amazonaws.com"),
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{_LOG_PREFIX}/AWSLogs/{account}/*")],
            ).as_cdk()
        )
        if bucket.policy is not None:
            self.balancer.node.add_dependency(bucket.policy)

    def _listener(self, certificate_arn: str | None, tls_policy: str) -> elb.CfnListener:
        nothing = not_found("no service answers this path").document()
        default = elb.CfnListener.ActionProperty(
            type="fixed-response",
            fixed_response_config=elb.CfnListener.FixedResponseConfigProperty(
                status_code=str(nothing["status"]),
                content_type="application/json",  # of the few that ELB allows
                message_body=json.dumps(nothing),
            ),
        )
        if certificate_arn is None:
            return elb.CfnListener(
                self, "Listener", load_balancer_arn=self.arn, port=80, protocol="HTTP", default_actions=[default]
            )
        return elb.CfnListener(
            self,
            "Listener",
            load_balancer_arn=self.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=tls_policy,
            certificates=[elb.CfnListener.CertificateProperty(certificate_arn=certificate_arn)],
            default_actions=[default],
        )

    def _target_group(self, service: Service, vpc_id: str, port: int, health_path: str) -> elb.CfnTargetGroup:
        attribute = elb.CfnTargetGroup.TargetGroupAttributeProperty
        return elb.CfnTargetGroup(
            self,
            camel(service),
            vpc_id=vpc_id,
            target_type="ip",
            protocol="HTTP",
            port=port,
            health_check_enabled=True,
            health_check_path=health_path,
            health_check_protocol="HTTP",
            health_check_interval_seconds=10,
            health_check_timeout_seconds=5,
            healthy_threshold_count=2,
            unhealthy_threshold_count=3,
            matcher=elb.CfnTargetGroup.MatcherProperty(http_code="200"),
            target_group_attributes=[
                attribute(key="deregistration_delay.timeout_seconds", value="60"),
                attribute(key="load_balancing.algorithm.type", value="least_outstanding_requests"),
            ],
        )

    def _rules(self, paths: Mapping[Service, Sequence[str]]) -> Iterator[elb.CfnListenerRule]:
        priority = 0
        for service, patterns in paths.items():
            for position, values in enumerate(_groups(patterns, _VALUES_A_RULE), start=1):
                priority += 10
                yield elb.CfnListenerRule(
                    self,
                    f"{camel(service)}Rule{position}",
                    listener_arn=self.listener.ref,
                    priority=priority,
                    conditions=[
                        elb.CfnListenerRule.RuleConditionProperty(
                            field="path-pattern",
                            path_pattern_config=elb.CfnListenerRule.PathPatternConfigProperty(values=values),
                        )
                    ],
                    actions=[
                        elb.CfnListenerRule.ActionProperty(
                            type="forward", target_group_arn=self.target_groups[service].ref
                        )
                    ],
                )


def _access_logs(bucket: s3.Bucket | None) -> dict[str, str]:
    if bucket is None:
        return {}
    return {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": bucket.bucket_name,
        "access_logs.s3.prefix": _LOG_PREFIX,
    }


def _groups(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
