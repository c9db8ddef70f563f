"""What a listing of a bucket shows, where moto by itself shows more."""

from tests.local.aws.conftest import Aws


def test_a_folder_in_which_all_is_deleted_is_not_listed(aws: Aws) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket="folders", CreateBucketConfiguration={"LocationConstraint": "us-west-1"})
    client.put_bucket_versioning(Bucket="folders", VersioningConfiguration={"Status": "Enabled"})
    for key in ("gone/a", "kept/a", "kept/b"):
        client.put_object(Bucket="folders", Key=key, Body=b"x")
    for key in ("gone/a", "kept/a"):
        client.delete_object(Bucket="folders", Key=key)
    for call in (client.list_objects, client.list_objects_v2):
        assert [found["Prefix"] for found in call(Bucket="folders", Delimiter="/")["CommonPrefixes"]] == ["kept/"]
        assert [found["Key"] for found in call(Bucket="folders", Prefix="kept/")["Contents"]] == ["kept/b"]
