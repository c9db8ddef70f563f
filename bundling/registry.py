"""The account's registry of images in one region: repositories as services need them, and the way in."""

import base64
import re
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bundling.errors import BundlingError

_HOST = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")


class Registry:
    """Elastic Container Registry. Tags are immutable there: one names a content, or a release of somebody else's."""

    def __init__(self, host: str, *, client: Any = None) -> None:  # noqa: ANN401 - boto3's, whose type it does not name
        """:param host: ``ACCOUNT.dkr.ecr.REGION.amazonaws.com``.

        :raises BundlingError: it is none of these.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            raise BundlingError(f"{host} is no registry of AWS: ACCOUNT.dkr.ecr.REGION.amazonaws.com is needed.")
        self.host = host
        self._client = client or boto3.client("ecr", region_name=match["region"])

    def password(self) -> str:
        """For Docker, as the user ``AWS``; good for twelve hours.

        :raises BundlingError: AWS does not give one.
        """
        try:
            (found,) = self._client.get_authorization_token()["authorizationData"]
        except (BotoCoreError, ClientError) as error:
            raise BundlingError(f"{self.host} does not let you in: {error}") from error
        _, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
        return password

    def has(self, repository: str, tag: str) -> bool:
        """Whether the image is there already. The repository is made where it is missing.

        :raises BundlingError: AWS refuses.
        """
        try:
            self._ensure(repository)
            self._client.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except self._client.exceptions.ImageNotFoundException:
            return False
        except (BotoCoreError, ClientError) as error:
            raise BundlingError(f"{self.host}/{repository}: {error}") from error
        return True

    def _ensure(self, repository: str) -> None:
        try:
            self._client.create_repository(
                repositoryName=repository,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
                tags=[{"Key": "project", "Value": "anfl"}],
            )
        except self._client.exceptions.RepositoryAlreadyExistsException:
            return
