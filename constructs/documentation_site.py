"""Documentation and OpenAPI for readers: CloudFront before a bucket that nobody else reaches."""

from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, services

_TLS = "TLSv1.3_2025"
_INDEX = "index.html"
_MISSING = "/404.html"
_LOGGED = (
    "date",
    "time",
    "x-edge-location",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs-uri-stem",
    "sc-status",
    "cs(User-Agent)",
    "x-edge-result-type",
    "x-edge-request-id",
    "cs-protocol-version",
    "ssl-protocol",
    "time-taken",
)
"""No query string, no referrer, no cookie."""
_HEADERS = {
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocumentationSite(Construct):
    """A distribution that speaks TLS 1.3 to readers alone, in us-east-1 like everything of CloudFront's."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        domain: str,
        bucket: s3.Bucket,
        certificate_arn: str,
        web_acl_arn: str | None,
        log_group: logs.ILogGroup,
    ) -> None:
        """:param domain: the one name under which the site answers."""
        super().__init__(scope, id)
        self._name = name
        self._bucket = bucket
        self.resource = cloudfront.CfnDistribution(
            self,
            "Distribution",
            distribution_config=self._configuration(domain, certificate_arn, web_acl_arn),
        )
        self._open_bucket()
        self._log(log_group)

    def _configuration(
        self, domain: str, certificate_arn: str, web_acl_arn: str | None
    ) -> cloudfront.CfnDistribution.DistributionConfigProperty:
        distribution = cloudfront.CfnDistribution
        return distribution.DistributionConfigProperty(
            enabled=True,
            comment=self._name,
            aliases=[domain],
            http_version="http2and3",
            ipv6_enabled=True,
            price_class="PriceClass_100",  # North America and Europe, where the regions are
            default_root_object=_INDEX,
            web_acl_id=web_acl_arn,
            viewer_certificate=distribution.ViewerCertificateProperty(
                acm_certificate_arn=certificate_arn, ssl_support_method="sni-only", minimum_protocol_version=_TLS
            ),
            origins=[
                distribution.OriginProperty(
                    id="bucket",
                    domain_name=self._bucket.bucket_regional_domain_name,
                    origin_access_control_id=self._access_control(),
                    s3_origin_config=distribution.S3OriginConfigProperty(origin_access_identity=""),
                )
            ],
            default_cache_behavior=distribution.DefaultCacheBehaviorProperty(
                target_origin_id="bucket",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=["GET", "HEAD"],
                compress=True,
                cache_policy_id=cloudfront.CachePolicy.CACHING_OPTIMIZED.cache_policy_id,
                response_headers_policy_id=self._response_headers(),
            ),
            # Without the right to list, the bucket says 403 where there is nothing.
            custom_error_responses=[
                distribution.CustomErrorResponseProperty(
                    error_code=403, response_code=404, response_page_path=_MISSING, error_caching_min_ttl=60
                )
            ],
        )

    def _access_control(self) -> str:
        control = cloudfront.CfnOriginAccessControl
        return control(
            self,
            "AccessControl",
            origin_access_control_config=control.OriginAccessControlConfigProperty(
                name=self._name,
                origin_access_control_origin_type="s3",
                signing_behavior="always",
                signing_protocol="sigv4",
            ),
        ).attr_id

    def _response_headers(self) -> str:
        policy = cloudfront.CfnResponseHeadersPolicy
        return policy(
            self,
            "Headers",
            response_headers_policy_config=policy.ResponseHeadersPolicyConfigProperty(
                name=self._name,
                security_headers_config=policy.SecurityHeadersConfigProperty(
                    content_security_policy=policy.ContentSecurityPolicyProperty(
                        content_security_policy=_CONTENT, override=True
                    ),
                    content_type_options=policy.ContentTypeOptionsProperty(override=True),
                    frame_options=policy.FrameOptionsProperty(frame_option="DENY", override=True),
                    referrer_policy=policy.ReferrerPolicyProperty(referrer_policy="no-referrer", override=True),
                    strict_transport_security=policy.StrictTransportSecurityProperty(
                        access_control_max_age_sec=63_072_000, include_subdomains=True, preload=True, override=True
                    ),
                ),
                custom_headers_config=policy.CustomHeadersConfigProperty(
                    items=[
                        policy.CustomHeaderProperty(header=header, value=value, override=True)
                        for header, value in _HEADERS.items()
                    ]
                ),
                remove_headers_config=policy.RemoveHeadersConfigProperty(
                    items=[policy.RemoveHeaderProperty(header="Server")]
                ),
            ),
        ).attr_id

    @property
    def _arn(self) -> str:
        return here(self).arn("cloudfront", f"distribution/{self.resource.ref}", region="")

    def _open_bucket(self) -> None:
        self._bucket.add_to_resource_policy(
            Statement(
                sid="ThisDistributionReads",
                principal=services("cloudfront.amazonaws.com"),
                actions=["s3:GetObject"],
                resources=[self._bucket.arn_for_objects("*")],
                conditions={"StringEquals": {"aws:SourceArn": self._arn}},
            ).as_cdk()
        )

    def _log(self, group: logs.ILogGroup) -> None:
        source = logs.CfnDeliverySource(
            self, "LogSource", name=self._name, log_type="ACCESS_LOGS", resource_arn=self._arn
        )
        destination = logs.CfnDeliveryDestination(
            self, "LogDestination", name=self._name, destination_resource_arn=group.log_group_arn, output_format="json"
        )
        logs.CfnDelivery(
            self,
            "LogDelivery",
            delivery_source_name=source.ref,
            delivery_destination_arn=destination.attr_arn,
            record_fields=list(_LOGGED),
        )
