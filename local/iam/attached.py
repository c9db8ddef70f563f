"""Policies of buckets and topics: moto does not keep what CloudFormation attaches to them."""

import json
from collections.abc import Iterator
from typing import Any

from local.aws.generic_resource import GenericResource

_documents: dict[str, str] = {}


def attached(arn: str) -> str | None:
    """The JSON document of a bucket's or topic's policy; None where it has none."""
    return _documents.get(arn)


class AttachedPolicy(GenericResource):
    """``AWS::S3::BucketPolicy`` and ``AWS::SNS::TopicPolicy``."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(**given)
        self._attach()

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "GenericResource",
        *args: Any,  # noqa: ANN401 - as its base
        **kwargs: Any,  # noqa: ANN401 - as its base
    ) -> "GenericResource":
        """Called by moto with the new properties."""
        changed = super().update_from_cloudformation_json(original_resource, *args, **kwargs)
        if isinstance(changed, cls):
            changed._attach()
        return changed

    def delete(self, *_: object) -> None:
        """Called by moto."""
        for arn in self._arns():
            _documents.pop(arn, None)

    def _attach(self) -> None:
        for arn in self._arns():
            _documents[arn] = json.dumps(self.properties["PolicyDocument"])

    def _arns(self) -> Iterator[str]:
        if bucket := self.properties.get("Bucket"):
            yield f"arn:aws:s3:::{bucket}"
        yield from self.properties.get("Topics", [])
