"""JSON files that models bring: which other files they name, and whether they have a loader run code."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from anfl.inspection.codes import Code, Finding
from anfl.inspection.examination import Facts, Needed
from anfl.inspection.members import escapes
from anfl.inspection.pickles.globals import judge
from anfl.inspection.templates import chat_template, chat_templates

_MAX_NODES = 2_000_000
_CONFIGURATIONS = ("config.json", "chat_template.json", ".index.json", "schema.json")
_KERAS = frozenset({"keras", "keras_cv", "keras_hub", "keras_nlp", "keras_rs", "tensorflow", "tf_keras"})
"""Packages whose classes Keras may import for a model."""
_KERAS_CODE = frozenset(
    {"Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
)
"""What runs, or loads past this inspection, what its configuration says."""


def is_config(name: str) -> bool:
    """Whether loaders read a file for what `config` looks for: as ``tokenizer_config.json``."""
    return name.endswith(_CONFIGURATIONS)


def config(name: str, document: object) -> Facts:
    """What a JSON document says: Hugging Face's ``auto_map`` and Keras' Lambda layers are code, a ``chat_template`` may
    reach for some, skops imports what its schema names; an index names shards.

    :raises Finding: it is too large to follow.
    """
    findings: list[Finding] = []
    needed: dict[str, Needed] = {}
    if isinstance(document, dict):
        if document.get("auto_map"):
            findings.append(Finding(Code.CUSTOM_CODE, "auto_map: loading the model may import code of its own"))
        findings += (finding for source in chat_templates(document) for finding in chat_template(source))
        if name.endswith(".index.json") and isinstance(document.get("weight_map"), dict):
            _shards(document["weight_map"], findings, needed)
    base = PurePosixPath(name.rpartition("!")[2]).name
    if base == "config.json":
        findings += _keras_code(document)
    if base == "schema.json":
        findings += _skops_imports(document)
    return Facts(findings=findings, needed=list(needed.values()))


def _shards(weights: dict[str, Any], findings: list[Finding], needed: dict[str, Needed]) -> None:
    for shard in sorted({str(value) for value in weights.values()}):
        if escapes(shard):
            findings.append(Finding(Code.PATH_ESCAPE, f"the index names the path {shard!r}"))
        else:
            needed[shard] = Needed(shard)


def _keras_code(document: object) -> list[Finding]:
    for value in _objects(document):
        name, module = value.get("class_name"), value.get("module")
        if not isinstance(name, str):
            continue
        if name in _KERAS_CODE:
            detail = f"a {name} of Keras: loading the model runs code that it brings, or names"
            return [Finding(Code.CUSTOM_CODE, detail)]
        is_foreign = isinstance(module, str) and module.partition(".")[0] not in _KERAS
        if is_foreign and "config" in value:
            return [Finding(Code.CUSTOM_CODE, f"loading the model imports {module}.{name}")]
    return []


def _skops_imports(document: object) -> list[Finding]:
    """As of a pickle: skops asks its caller whom to trust, and an MLmodel may answer for the caller."""
    named = (
        (value["__module__"], value["__class__"])
        for value in _objects(document)
        if isinstance(value.get("__module__"), str) and isinstance(value.get("__class__"), str)
    )
    judged = (judge(module, name) for module, name in dict.fromkeys(named))
    return [finding for finding in judged if finding is not None]


def _objects(document: object) -> Iterator[dict[str, Any]]:
    """Every object of a document.

    :raises Finding: there are too many values.
    """
    waiting: list[object] = [document]
    count = 0
    while waiting:
        count += 1
        if count > _MAX_NODES:
            raise Finding(Code.TOO_COMPLEX, f"JSON of more than {_MAX_NODES} values")
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
