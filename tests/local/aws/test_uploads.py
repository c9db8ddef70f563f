"""Uploads in parts that there are not, as S3 refuses them."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.aws.conftest import Aws

_CALLS: dict[str, Callable[[Any, dict[str, str]], object]] = {
    "complete": lambda client, upload: client.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"ETag": "x", "PartNumber": 1}]}
    ),
    "part": lambda client, upload: client.upload_part(**upload, PartNumber=1, Body=b"x"),
    "parts": lambda client, upload: client.list_parts(**upload),
    "abort": lambda client, upload: client.abort_multipart_upload(**upload),
}


@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize("began", [False, True])
def test_an_upload_that_there_is_not_is_not_found(aws: Aws, call: str, began: bool) -> None:
    """``began``: it was given up before."""
    client = aws.client("s3")
    bucket = f"uploads-{call}-{began}".lower()
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-1"})
    upload = {"Bucket": bucket, "Key": "k", "UploadId": "none"}
    if began:
        upload["UploadId"] = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        client.abort_multipart_upload(**upload)
    with pytest.raises(ClientError) as refused:
        _CALLS[call](client, upload)
    assert refused.value.response["Error"]["Code"] == "NoSuchUpload"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
