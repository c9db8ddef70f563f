"""Who drains a region sets a parameter at its guardian, once."""

import time

from operations.cloud import Cloud
from operations.drain import drain
from stacks.settings import load
from stacks.units import Region

PROD = load("prod")
NAME = "/anfl/prod/drained/us-west-1"


def put(cloud: Cloud, value: str) -> None:
    cloud.client("ssm", "us-east-1").put_parameter(Name=NAME, Value=value, Type="String", Overwrite=True)


def test_the_parameter_at_the_guardian_says_that_the_region_is_drained_and_since_when(cloud: Cloud) -> None:
    put(cloud, "false")
    first = drain(cloud, PROD, Region.US_WEST_1)
    assert first is not None
    assert abs(first - time.time()) < 60
    ssm = cloud.client("ssm", "us-east-1")
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == "true"
    version = ssm.get_parameter(Name=NAME)["Parameter"]["Version"]
    again = drain(cloud, PROD, Region.US_WEST_1)
    assert again is not None
    assert abs(again - first) < 60
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == version, "the time of the first drain counts"


def test_nobody_drains_what_nobody_watches(cloud: Cloud) -> None:
    assert drain(cloud, PROD, Region.US_WEST_1) is None
    assert drain(cloud, load("dev"), Region.US_WEST_1) is None
