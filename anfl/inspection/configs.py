"""JSON files that models bring: which other files they name, and whether they have a loader run code."""

from pathlib import PurePosixPath
from typing import Any

from anfl.inspection.codes import Code, Finding
from anfl.inspection.examination import Facts, Needed
from anfl.inspection.members import escapes
from anfl.inspection.templates import chat_template, chat_templates

_MAX_NODES = 2_000_000
_CONFIGURATIONS = ("config.json", "chat_template.json", ".index.json")


def is_config(name: str) -> bool:
    """Whether loaders read a file for what `config` looks for: as ``tokenizer_config.json``."""
    return name.endswith(_CONFIGURATIONS)


def config(name: str, document: object) -> Facts:
    """What a JSON document says: Hugging Face's ``auto_map`` and Keras' Lambda layers are code, a ``chat_template`` may
    reach for some; an index names shards.

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
    if PurePosixPath(name.rpartition("!")[2]).name == "config.json" and _has_lambda(document):
        findings.append(Finding(Code.CUSTOM_CODE, "a Lambda layer: loading the model runs code that it brings"))
    return Facts(findings=findings, needed=list(needed.values()))


def _shards(weights: dict[str, Any], findings: list[Finding], needed: dict[str, Needed]) -> None:
    for shard in sorted({str(value) for value in weights.values()}):
        if escapes(shard):
            findings.append(Finding(Code.PATH_ESCAPE, f"the index names the path {shard!r}"))
        else:
            needed[shard] = Needed(shard)


def _has_lambda(document: object) -> bool:
    waiting: list[object] = [document]
    count = 0
    while waiting:
        count += 1
        if count > _MAX_NODES:
            raise Finding(Code.TOO_COMPLEX, f"JSON of more than {_MAX_NODES} values")
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("class_name") == "Lambda":
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False
