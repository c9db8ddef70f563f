"""Custom resources of CloudFormation: their function is called, and what it answers decides.

Those of Vault's bootstrap, its certificate and the key agent are placeholders: no instance boots here, so there are no
Vault nodes that they could set up; the development Vault is set up by `local.accounts`.

moto calls the function in a thread, knows creation alone, and waits for ever for an answer of failure.
"""

import json
import threading
import uuid
from typing import Any, ClassVar

from moto.core.common_models import CloudFormationModel

from anfl.resources import Caretaker

Json = dict[str, Any]
_OF_NODES = tuple(f"-{name}" for name in (Caretaker.VAULT_BOOTSTRAP, Caretaker.VAULT_CERTIFICATE, Caretaker.KEY_AGENT))
PATH = "answers/"
"""Below the server's control path: where functions send their answers."""


class Answers:
    """Answers that functions have sent, until they are fetched."""

    def __init__(self) -> None:
        self._answers: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, token: str, body: bytes) -> None:
        """Keep an answer."""
        with self._lock:
            self._answers[token] = body

    def take(self, token: str) -> Json | None:
        """The answer, once; None where there was none."""
        with self._lock:
            body = self._answers.pop(token, None)
        return None if body is None else dict(json.loads(body))


ANSWERS = Answers()


class CustomResource(CloudFormationModel):
    """One custom resource of any type. Calls are synchronous: the function has answered before it returns."""

    cf_resource_type: str
    logical_resource_id: str
    invoke: ClassVar[Any]
    """As `local.aws.moto_patches.Invoke`."""
    address: ClassVar[str]
    """Of the server's control path."""

    def __init__(self, *, stack_id: str, logical_id: str, kind: str, region: str) -> None:
        self._identity = {"StackId": stack_id, "LogicalResourceId": logical_id, "ResourceType": kind}
        self._region = region
        self._properties: Json = {}
        self._data: Json = {}
        self.physical_resource_id = ""

    def call(self, request: str, properties: Json, **more: object) -> None:
        """Have the function do something.

        :raises RuntimeError: it failed, or did not answer.
        """
        if properties["ServiceToken"].endswith(_OF_NODES):
            self._properties, self.physical_resource_id = properties, "placeholder"
            return
        token = uuid.uuid4().hex
        known = {"PhysicalResourceId": self.physical_resource_id} if self.physical_resource_id else {}
        event = {
            "RequestType": request,
            "RequestId": token,
            "ResponseURL": f"{self.address}{PATH}{token}",
            "ServiceToken": properties["ServiceToken"],
            "ResourceProperties": properties,
            **self._identity,
            **known,
            **more,
        }
        invoke = type(self).invoke
        _, _, output = invoke(self._region, properties["ServiceToken"], json.dumps(event).encode(), {})
        answer = ANSWERS.take(token)
        if answer is None:
            raise RuntimeError(f"its function did not answer: {output[:500]!r}")
        if answer["Status"] != "SUCCESS":
            raise RuntimeError(answer.get("Reason", "failed, and did not say why"))
        self._properties = properties
        self._data = answer.get("Data", {})
        self.physical_resource_id = answer["PhysicalResourceId"]

    def change(self, properties: Json) -> None:
        """Bring the resource to new properties."""
        self.call("Update", properties, OldResourceProperties=self._properties)

    def delete(self, *_: object) -> None:
        """Have the function delete it."""
        self.call("Delete", self._properties)

    def get_cfn_attribute(self, attribute_name: str) -> Any:  # noqa: ANN401 - as moto declares it
        """What the function gave."""
        return self._data[attribute_name]

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 - the function decides
        """Whatever the function gave."""
        return True

    def is_created(self) -> bool:
        """At once: calls are synchronous."""
        return True

    @staticmethod
    def cloudformation_name_type() -> str:
        """Names are none of its business."""
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        """Never looked up: `local.aws.moto_patches` hands the class out."""
        return "AWS::CloudFormation::CustomResource"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003 - the function chooses the id
        cloudformation_json: Json,
        account_id: str,  # noqa: ARG003
        region_name: str,
        **kwargs: Any,  # noqa: ANN401 - LogicalId, StackId, ResourceType
    ) -> "CustomResource":
        """Called by moto with resolved properties."""
        made = cls(
            stack_id=kwargs["StackId"], logical_id=kwargs["LogicalId"], kind=kwargs["ResourceType"], region=region_name
        )
        made.call("Create", texts(cloudformation_json["Properties"]))
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "CustomResource",
        new_resource_name: str,  # noqa: ARG003
        cloudformation_json: Json,
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> "CustomResource":
        """Called by moto with the new properties."""
        original_resource.change(texts(cloudformation_json["Properties"]))
        return original_resource


def texts(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """``value`` as CloudFormation hands it to functions: numbers and truth values are text."""
    if isinstance(value, dict):
        return {key: texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [texts(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value
