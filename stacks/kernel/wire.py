"""What the CDK's process is asked, with less said and less looked at than jsii does.

jsii names every property of a structure, those too that nobody has given, and the other side reads and checks each. And
what has been made plain goes through a converter for any class whatever, which walks through all of it once more.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import jsii
from jsii import _kernel
from jsii._kernel import types

if TYPE_CHECKING:
    from cattrs import Converter

_PLAIN = frozenset((str, int, float, bool, type(None)))
_FREQUENT: dict[type, str] = {
    types.CreateRequest: "create",
    types.GetRequest: "get",
    types.InvokeRequest: "invoke",
    types.StaticGetRequest: "sget",
    types.StaticInvokeRequest: "sinvoke",
}
_whatever = _kernel._make_reference_for_native


def speak() -> None:
    """From now on, for as long as this process lives."""
    _kernel._make_reference_for_native = plain  # type: ignore[assignment]  # it is called by position
    converter = jsii.kernel.provider._process._serializer  # type: ignore[attr-defined]  # of the one provider there is
    for request, api in _FREQUENT.items():
        converter.register_unstructure_hook(request, partial(_message, converter, api))


def plain(kernel: _kernel.Kernel, value: object) -> object:
    """``value`` as jsii sends it, but for the properties that a structure has not been given."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return {"$jsii.map": {name: plain(kernel, each) for name, each in value.items()}}
    if isinstance(value, list):
        return [plain(kernel, each) for each in value]
    names = getattr(kind, "__jsii_name_mapping__", None)
    if names is None:
        return _whatever(kernel, value)
    given = {names[name]: plain(kernel, each) for name, each in vars(value)["_values"].items()}
    return {"$jsii.struct": {"fqn": kind.__jsii_type__, "data": given}}


def _message(converter: "Converter", api: str, request: attrs.AttrsInstance) -> dict[str, object]:
    """Of ``request``, whose arguments are plain already."""
    fields = attrs.asdict(request, recurse=False)
    return {"api": api} | {
        name: field if name == "args" else converter.unstructure(field) for name, field in fields.items()
    }
