"""Step Functions: a workflow calls AWS with the rights of its role."""

import sys
from typing import Any

import boto3
from botocore.config import Config
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from moto.sts.models import sts_backends

from local.iam.deployed import ACCOUNT

_NAME = "boto_client_for"
_CONFIG = Config(parameter_validation=False, retries={"total_max_attempts": 1}, proxies={})
_SECONDS = 3600


def apply(endpoint: str) -> None:
    """Have moto's interpreter call ``endpoint`` as the role that a state has, usually the workflow's."""

    def client(region: str, service: Any, state_credentials: Any) -> Any:  # noqa: ANN401 - moto's and boto3's
        sts, role = sts_backends[ACCOUNT]["aws"], state_credentials.role_arn
        made = sts.assume_role(region, "workflow", role, policy="", duration=_SECONDS, external_id="")
        session = boto3.session.Session(
            aws_access_key_id=made.access_key_id,
            aws_secret_access_key=made.secret_access_key,
            aws_session_token=made.session_token,
            region_name=region,
        )
        return session.client(service, endpoint_url=endpoint, config=_CONFIG)

    package = lambda_eval_utils.__name__.partition(".asl.")[0]
    assert state_task_service_aws_sdk.__name__.startswith(package)  # noqa: S101 - both must be loaded by now
    for name, module in list(sys.modules.items()):
        if name.startswith(package) and hasattr(module, _NAME):
            setattr(module, _NAME, client)
