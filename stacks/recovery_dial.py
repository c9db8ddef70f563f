"""The function that takes a lost region away from Global Accelerator, whose API Step Functions cannot call itself."""

from dataclasses import dataclass

from aws_cdk import aws_kms as kms
from constructs.python_function import PythonFunction
from constructs.statements import Statement

from anfl.resources import Caretaker, Variable
from stacks.base import AnflStack
from stacks.units import Region


@dataclass(frozen=True, kw_only=True)
class AcceleratorArns:
    """Of the accelerator and its listener, in the global edge."""

    accelerator: str
    listener: str


def dial_in(stack: AnflStack, *, ward: Region, arns: AcceleratorArns, key: kms.IKey) -> PythonFunction:
    """In the guardian of ``ward``, outside its network: Global Accelerator has no endpoint in a VPC of ours."""
    statement = Statement
    return PythonFunction(
        stack,
        "Dial",
        function=Caretaker.ACCELERATOR_DIAL,
        name=stack.settings.name(Caretaker.ACCELERATOR_DIAL),
        size=stack.settings.deployment.functions.accelerator_dial,
        environment={
            Variable.WATCHED_REGION: ward,
            Variable.ACCELERATOR_ARN: arns.accelerator,
            Variable.LISTENER_ARN: arns.listener,
        },
        statements=[
            statement(
                sid="FindEndpointGroups",
                actions=["globalaccelerator:ListEndpointGroups"],
                resources=[arns.listener],
            ),
            statement(
                sid="SeeAccelerator", actions=["globalaccelerator:DescribeAccelerator"], resources=[arns.accelerator]
            ),
            statement(
                sid="TurnDial",
                actions=["globalaccelerator:UpdateEndpointGroup"],
                resources=[f"{arns.listener}/endpoint-group/*"],
            ),
        ],
        log_group=stack.log_group("DialLogs", key),
    )
