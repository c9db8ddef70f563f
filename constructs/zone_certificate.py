"""A public certificate that proves itself in its zone."""

from collections.abc import Sequence

from aws_cdk import aws_certificatemanager as acm
from constructs import Construct


class ZoneCertificate(acm.CfnCertificate):
    """Of ACM, with an ECDSA key; its issue waits until the zone is delegated."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        names: Sequence[str],
        zone_id: str,
    ) -> None:
        """:param names: all of the zone; the first is the certificate's subject."""
        super().__init__(
            scope,
            id,
            domain_name=names[0],
            subject_alternative_names=list(names[1:]) or None,
            validation_method="DNS",
            key_algorithm="EC_prime256v1",
            domain_validation_options=[
                acm.CfnCertificate.DomainValidationOptionProperty(domain_name=name, hosted_zone_id=zone_id)
                for name in names
            ],
        )
