"""AWS clients with the time-outs and retries that every part of ANFL uses."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=32,
)


@cache
def session() -> boto3.session.Session:
    """The process's one session: credentials and region from the environment, as Lambda and ECS provide them."""
    return boto3.session.Session()


def config(**overrides: Any) -> Config:  # noqa: ANN401 - whatever botocore takes
    """The project's client configuration with some values replaced (for example ``read_timeout``)."""
    return _CONFIG.merge(Config(**overrides)) if overrides else _CONFIG


def soon(*, attempts: int = 3) -> Config:
    """The configuration of clients whose answer somebody waits for: they fail within seconds."""
    return config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": attempts})
