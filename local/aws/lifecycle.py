"""Lives of stacks as CloudFormation leads them where moto does not: failures roll back, protection holds."""

from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event, Stack
from moto.cloudformation.parsing import OutputMap, ResourceMap
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult

from local.aws.patching import Patch

_RETAINED = "Retain"


class ResourceFailedError(ValidationError):
    """A resource could not be made, changed or deleted."""

    def __init__(self, logical_id: str, kind: str, why: str) -> None:
        super().__init__(message=f"{logical_id} ({kind}) {why}")
        self.logical_id = logical_id
        self.kind = kind


def apply(patch: Patch) -> None:
    """Patch moto's stacks."""
    create_original, delete_original = CloudFormationBackend.create_stack, CloudFormationBackend.delete_stack
    resolve_original = CloudFormationBackend._resolve_update_parameters
    update_original, change_original = Stack.update, parsing.parse_and_update_resource

    def create(self: CloudFormationBackend, name: str, *args: Any, **kwargs: Any) -> Stack:  # noqa: ANN401
        before = set(self.stacks)
        try:
            return create_original(self, name, *args, **kwargs)
        except Exception as error:
            begun = [stack for key, stack in self.stacks.items() if key not in before and stack.name == name]
            if not begun:
                raise
            _roll_back(self, begun[0], error)
            return begun[0]

    def delete(self: CloudFormationBackend, name_or_stack_id: str) -> None:
        stack = next((s for s in self.stacks.values() if name_or_stack_id in (s.name, s.stack_id)), None)
        if stack is None:
            return
        if str(stack.enable_termination_protection).lower() == "true":
            told = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            raise ValidationError(message=told)
        try:
            delete_original(self, stack.stack_id)
        except Exception as error:
            self.stacks[stack.stack_id] = stack
            _tell(stack, "DELETE_FAILED", "DELETE_FAILED", error)
        _forget(self, stack)

    def update(self: Stack, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        template, parsed, resources = self.template, self.template_dict, self.resource_map._resource_json_map
        try:
            update_original(self, *args, **kwargs)
        except Exception as error:  # what was changed already stays changed: the next update does it again
            self.template, self.template_dict, self.resource_map._resource_json_map = template, parsed, resources
            _tell(self, "UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE", error)

    def change(logical_id: str, definition: dict[str, Any], resources: Any, **place: Any) -> Any:  # noqa: ANN401
        changed: Any = change_original(logical_id, definition, resources, **place)
        if changed is None:
            raise ResourceFailedError(logical_id, definition["Type"], "cannot be changed in the embedded AWS")
        return changed

    def parameters(self: CloudFormationBackend, instance: Stack, incoming_params: list[dict[str, Any]]) -> Any:  # noqa: ANN401
        given = [
            parameter
            for parameter in incoming_params
            if "ParameterValue" in parameter or parameter["ParameterKey"] in instance.parameters
        ]  # the previous value of one that nobody gave is its default
        return resolve_original(self, instance=instance, incoming_params=given)

    patch(ResourceMap, "delete", _delete_in_order)
    patch(CloudFormationBackend, "_resolve_update_parameters", parameters)
    patch(CloudFormationBackend, "create_stack", create)
    patch(CloudFormationBackend, "delete_stack", delete)
    patch(Stack, "update", update)
    patch(parsing, "parse_and_update_resource", change)
    patch(CloudFormationResponse, "update_termination_protection", _update_termination_protection)


def _delete_in_order(resources: ResourceMap) -> None:
    """Dependents first: a resource was made after those that it names. Some of moto's know other orders: once more."""
    problem: Exception | None = None
    for _ in range(3):
        problem = None
        for logical_id, resource in reversed(list(resources._parsed_resources.items())):
            definition = resources._resource_json_map.get(logical_id)
            if definition is None or resource is None or definition.get("DeletionPolicy") == _RETAINED:
                continue
            try:
                resources._delete_resource(resource, definition)
            except Exception as error:
                problem = ResourceFailedError(logical_id, definition["Type"], f"cannot be deleted: {error}")
            else:
                del resources._parsed_resources[logical_id]
        if problem is None:
            return
    if problem is not None:
        raise problem


def _roll_back(backend: CloudFormationBackend, stack: Stack, error: Exception) -> None:
    """Delete what was made, but what is to be retained: that stays, and its name stays taken."""
    _tell(stack, "CREATE_FAILED", "ROLLBACK_IN_PROGRESS", error)
    try:
        stack.resource_map.delete()
        stack.status = "ROLLBACK_COMPLETE"
    except Exception:
        stack.status = "ROLLBACK_FAILED"
    _forget(backend, stack)
    stack._add_stack_event(stack.status)


def _forget(backend: CloudFormationBackend, stack: Stack) -> None:
    """Leave only what stands to be asked for: moto makes whatever it is asked for and has not made yet."""
    backend.exports = {
        name: export for name, export in backend.exports.items() if export.exporting_stack_id != stack.stack_id
    }
    stack.output_map = OutputMap(stack.resource_map, {}, stack.stack_id)
    resources = stack.resource_map
    made = resources._parsed_resources
    resources._resource_json_map = {
        name: definition for name, definition in resources._resource_json_map.items() if name in made
    }


def _tell(stack: Stack, of_resource: str, of_stack: str, error: Exception) -> None:
    """Note what failed, as the CLI looks for it."""
    if isinstance(error, ResourceFailedError):
        event = Event(
            stack_id=stack.stack_id,
            stack_name=stack.name,
            logical_resource_id=error.logical_id,
            physical_resource_id="",
            resource_type=error.kind,
            resource_status=of_resource,
            resource_status_reason=error.message,
            resource_properties=None,
        )
        stack.events.append(event)
    stack._add_stack_event(of_stack, str(error))
    stack.status = of_stack


def _update_termination_protection(response: CloudFormationResponse) -> ActionResult:
    stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
    stack.enable_termination_protection = response._get_bool_param("EnableTerminationProtection", False)
    return ActionResult({"StackId": stack.stack_id})
