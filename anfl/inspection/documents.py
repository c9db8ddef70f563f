"""Text files: plain, MLmodel, and those that turn out to be pickles or code."""

import codecs
import re
from pathlib import PurePosixPath
from typing import IO, Any

import yaml

from anfl.inspection.report import Finding, quarantine, reject

MLMODEL_BYTES = 1024 * 1024
_CODE = frozenset(
    {".py", ".pyc", ".pyw", ".so", ".pyd", ".dll", ".dylib", ".sh", ".bat", ".cmd", ".ps1", ".js", ".jar"}
)
_DATA_LOADERS = re.compile(
    r"mlflow\.(?:sklearn|pytorch|tensorflow|keras|onnx|xgboost|lightgbm|catboost|spark|statsmodels|transformers"
    r"|sentence_transformers|prophet|spacy|paddle|diviner|pmdarima|h2o|pyfunc\.model)"
)
"""MLflow's own loaders: what they load are the files that are inspected beside the MLmodel."""


def is_code(name: str) -> bool:
    """Whether a file's name says that it is meant to be run."""
    return PurePosixPath(name).suffix.lower() in _CODE


def is_text(stream: IO[bytes]) -> bool:
    """Whether the stream is UTF-8 text without control characters (reads it to its end)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while chunk := stream.read(1024 * 1024):
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError:
            return False
        if re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text):
            return False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def mlmodel(text: bytes) -> list[Finding]:
    """What is questionable in an ``MLmodel`` file: it must be YAML, and name no loader or code of its own."""
    if len(text) > MLMODEL_BYTES:
        return [reject("oversize_header", f"MLmodel has more than {MLMODEL_BYTES} bytes")]
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            return [reject("malformed", "MLmodel uses YAML aliases")]
        document: Any = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        return [reject("malformed", f"MLmodel is not YAML: {str(error).splitlines()[0]}")]
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict):
        return [reject("malformed", "MLmodel has no flavors")]
    findings = [_escape(value) for value in _paths(flavors) if _escapes(value)]
    pyfunc = flavors.get("python_function")
    if isinstance(pyfunc, dict):
        loader = str(pyfunc.get("loader_module", ""))
        if pyfunc.get("code"):
            findings.append(quarantine("custom_code", "loading the model puts its own code on the import path"))
        if loader and _DATA_LOADERS.fullmatch(loader) is None:
            findings.append(quarantine("custom_code", f"loading the model imports {loader}"))
    return findings


def _paths(flavors: dict[Any, Any]) -> list[str]:
    """Every text in the flavors: any of them may be a path below the model's folder."""
    waiting: list[Any] = [flavors]
    texts: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            texts.append(value)
    return texts


def _escapes(value: str) -> bool:
    return ".." in re.split(r"[/\\]", value)


def _escape(value: str) -> Finding:
    return reject("path_escape", f"MLmodel names the path {value!r}")
