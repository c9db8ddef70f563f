"""Durations as the CDK has them: it takes a message to make one, and the same few are wanted again and again."""

from functools import cache

from aws_cdk import Duration


@cache
def seconds(count: int) -> Duration:
    """``count`` seconds."""
    return Duration.seconds(count)


@cache
def days(count: int) -> Duration:
    """``count`` days."""
    return Duration.days(count)
