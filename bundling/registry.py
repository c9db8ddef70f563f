"""The account's registry of images in one region: repositories as services need them, and the way in."""

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bundling.errors import BundlingError

_HOST = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"


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

    def put(self, repository: str, tag: str, files: Mapping[str, bytes], *, kind: str) -> None:
        """Put files there as an OCI artefact, each a layer that is annotated with its name.

        https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage

        :param kind: the artefact's media type. :raises BundlingError: AWS refuses.
        """
        try:
            layers = [
                {
                    "mediaType": "application/octet-stream",
                    "digest": self._upload(repository, content),
                    "size": len(content),
                    "annotations": {"org.opencontainers.image.title": name},
                }
                for name, content in files.items()
            ]
            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "artifactType": kind,
                "config": {"mediaType": _EMPTY, "digest": self._upload(repository, b"{}"), "size": 2},
                "layers": layers,
            }
            self._client.put_image(
                repositoryName=repository,
                imageTag=tag,
                imageManifest=json.dumps(manifest),
                imageManifestMediaType=_MANIFEST,
            )
        except (BotoCoreError, ClientError) as error:
            raise BundlingError(f"{self.host}/{repository}:{tag}: {error}") from error

    def _upload(self, repository: str, content: bytes) -> str:
        """The digest of a layer, which is there afterwards."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self._client.initiate_layer_upload(repositoryName=repository)
        upload, size = begun["uploadId"], begun["partSize"]
        for first in range(0, len(content), size):
            part = content[first : first + size]
            self._client.upload_layer_part(
                repositoryName=repository,
                uploadId=upload,
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
        # It may be there, of another release or of an attempt that did not come to its end.
        with contextlib.suppress(self._client.exceptions.LayerAlreadyExistsException):
            self._client.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
        return digest

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
