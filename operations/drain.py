"""Sends nobody to a region any more (docs/development.md, "Draining")."""

import time

from botocore.exceptions import ClientError

from operations.cloud import Cloud, code_of, told
from stacks.models import Settings
from stacks.physical_names import drain_parameter
from stacks.units import Region

_YES = "true"


def drain(cloud: Cloud, settings: Settings, region: Region) -> float | None:
    """Mark ``region`` as drained, at its guardian.

    :param settings: of the environment with ``region``.
    :returns: when it was marked, in seconds since the epoch: DNS needs minutes to follow. None where nobody watches it,
        or not any more.
    :raises OperationError: AWS refuses.
    """
    guardian = settings.guardian(region)
    if guardian is None:
        return None
    ssm, name = cloud.client("ssm", guardian), drain_parameter(settings, region)
    with told(f"Draining {region}"):
        try:
            found = ssm.get_parameter(Name=name)["Parameter"]
        except ClientError as error:
            if code_of(error) != "ParameterNotFound":
                raise
            return None
        if found["Value"] == _YES:
            return float(found["LastModifiedDate"].timestamp())
        ssm.put_parameter(Name=name, Value=_YES, Overwrite=True)
    return time.time()
