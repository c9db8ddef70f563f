"""A web ACL: AWS's managed rules, and a limit on what one address may ask."""

import json
from collections.abc import Sequence
from enum import StrEnum

from aws_cdk import Fn, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct
from constructs.location import here

from anfl.problems import Problem
from stacks.deployment import Firewall

_ACL = waf.CfnWebACL
_WINDOW_SECONDS = 300
_COMMON = "AWSManagedRulesCommonRuleSet"
_MANAGED = (_COMMON, "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesAmazonIpReputationList")
_SECRET_HEADERS = ("authorization", "cookie")
_LOGGED = ("BLOCK", "COUNT", "EXCLUDED_AS_COUNT")
_WITHOUT_TOKENS = _ACL.DataProtectionConfigProperty(
    data_protections=[
        _ACL.DataProtectProperty(
            field=_ACL.FieldToProtectProperty(field_type="SINGLE_HEADER", field_keys=list(_SECRET_HEADERS)),
            action="SUBSTITUTION",
        )
    ]
)
"""For whatever WAF shows of a request; what its logs leave out says nothing of the requests that it samples."""
_TOO_MANY = Problem(429, "throttled", "too many requests from this address; slow down", retry_after=_WINDOW_SECONDS)


class Scope(StrEnum):
    """What a web ACL can be put before."""

    REGIONAL = "REGIONAL"
    """Stages of APIs and load balancers in the stack's own region."""
    CLOUDFRONT = "CLOUDFRONT"
    """Distributions. Such a web ACL stands in us-east-1 alone."""


class WebFirewall(Construct):
    """For the API's stage and the balancer of one region, or for CloudFront.

    What it blocks or counts is logged, what it sees is sampled, never with a token.

    The balancer sees the API's own requests come from addresses inside the network, so those are under no limit: the
    stage has counted them by their callers' addresses already.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        firewall: Firewall,
        network_cidr: str | None,
        key: kms.IKey,
        log_retention_days: int,
        retain: bool,
        protects: Scope = Scope.REGIONAL,
    ) -> None:
        """:param network_cidr: addresses under no limit."""
        super().__init__(scope, id)
        self._name = name
        self._scope = protects
        rules = [self._limit(firewall.requests_per_address, network_cidr)]
        rules += [self._managed(rule_set, position, firewall.counted) for position, rule_set in enumerate(_MANAGED, 1)]
        self.acl = _ACL(
            self,
            "Acl",
            name=name,
            scope=protects,
            default_action=_ACL.DefaultActionProperty(allow={}),
            visibility_config=self._visibility(name),
            rules=rules,
            data_protection_config=_WITHOUT_TOKENS,
            custom_response_bodies={
                _TOO_MANY.code: _ACL.CustomResponseBodyProperty(
                    content_type="APPLICATION_JSON", content=json.dumps(_TOO_MANY.document())
                )
            },
        )
        self.arn = self.acl.attr_arn
        self._log(key, log_retention_days, retain=retain)

    def _outside(self, network_cidr: str) -> waf.CfnWebACL.StatementProperty:
        inside = waf.CfnIPSet(
            self,
            "Inside",
            name=f"{self._name}-inside",
            scope=self._scope,
            ip_address_version="IPV4",
            addresses=[network_cidr],
            description="Addresses inside the network",
        )
        found = _ACL.StatementProperty(
            ip_set_reference_statement=_ACL.IPSetReferenceStatementProperty(arn=inside.attr_arn)
        )
        return _ACL.StatementProperty(not_statement=_ACL.NotStatementProperty(statement=found))

    def _limit(self, requests: int, network_cidr: str | None) -> waf.CfnWebACL.RuleProperty:
        return _ACL.RuleProperty(
            name="requests-per-address",
            priority=0,
            action=_ACL.RuleActionProperty(
                block=_ACL.BlockActionProperty(
                    custom_response=_ACL.CustomResponseProperty(
                        response_code=_TOO_MANY.status,
                        custom_response_body_key=_TOO_MANY.code,
                        response_headers=[
                            _ACL.CustomHTTPHeaderProperty(name="Retry-After", value=str(_TOO_MANY.retry_after))
                        ],
                    )
                )
            ),
            statement=_ACL.StatementProperty(
                rate_based_statement=_ACL.RateBasedStatementProperty(
                    aggregate_key_type="IP",
                    limit=requests,
                    evaluation_window_sec=_WINDOW_SECONDS,
                    scope_down_statement=None if network_cidr is None else self._outside(network_cidr),
                )
            ),
            visibility_config=self._visibility("requests-per-address"),
        )

    def _managed(self, rule_set: str, priority: int, counted: Sequence[str]) -> waf.CfnWebACL.RuleProperty:
        overrides = [
            _ACL.RuleActionOverrideProperty(name=rule, action_to_use=_ACL.RuleActionProperty(count={}))
            for rule in counted
            if rule_set == _COMMON
        ]
        return _ACL.RuleProperty(
            name=rule_set,
            priority=priority,
            override_action=_ACL.OverrideActionProperty(none={}),
            statement=_ACL.StatementProperty(
                managed_rule_group_statement=_ACL.ManagedRuleGroupStatementProperty(
                    vendor_name="AWS", name=rule_set, rule_action_overrides=overrides or None
                )
            ),
            visibility_config=self._visibility(rule_set),
        )

    def _log(self, key: kms.IKey, retention_days: int, *, retain: bool) -> None:
        # WAF demands the prefix; the stack's own id keeps a group that outlived its stack from blocking the next one.
        own = Fn.select(2, Fn.split("/", Stack.of(self).stack_id))
        group = logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=f"aws-waf-logs-{self._name}-{own}",
            kms_key_id=key.key_arn,
            retention_in_days=retention_days,
        )
        group.apply_removal_policy(RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY)
        keep = [{"ActionCondition": {"Action": action}} for action in _LOGGED]
        arn = here(self).arn("logs", f"log-group:{group.ref}")
        waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.arn,
            log_destination_configs=[arn],
            redacted_fields=[
                waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": name})
                for name in _SECRET_HEADERS
            ],
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [{"Behavior": "KEEP", "Requirement": "MEETS_ANY", "Conditions": keep}],
            },
        )

    @staticmethod
    def _visibility(metric: str) -> waf.CfnWebACL.VisibilityConfigProperty:
        """Counted in CloudWatch; requests are sampled for the console, where all people who may look see them."""
        return _ACL.VisibilityConfigProperty(
            cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
        )
