"""MLflow's ``MLmodel``: what loads the model, which files it consists of, and its signature."""

import re
from collections.abc import Iterator
from typing import Any

from anfl.inspection.codes import Code, Finding
from anfl.inspection.documents import check_yaml, load_yaml
from anfl.inspection.examination import Facts, Needed
from anfl.inspection.members import escapes
from anfl.inspection.requirements import CONDA, MLFLOW
from anfl.inspection.signatures import Signature, declared

MLMODEL_BYTES = 1024 * 1024
_FLAVORS = frozenset(
    [
        "catboost",
        "keras",
        "lightgbm",
        "onnx",
        "paddle",
        "pmdarima",
        "prophet",
        "pytorch",
        "sentence_transformers",
        "sklearn",
        "spacy",
        "statsmodels",
        "tensorflow",
        "transformers",
        "xgboost",
    ]
)
"""Those of MLflow's that load the files which are inspected beside the MLmodel. (What Spark, H2O and Diviner load names
classes, settings of a JVM, or holds pickles as text.)"""
_PYFUNC = "python_function"
_LOADERS = frozenset({"mlflow.pyfunc.model", *(f"mlflow.{flavor}" for flavor in _FLAVORS)})
_CLASSES = ("lightgbm.", "xgboost.")
"""Beginnings of what a flavor may have MLflow import and call as the model's class."""
_FILES = frozenset(
    ["data", "model_path", "pickled_model", "model_data", "python_model", "model_binary", "artifact_path"]
)
"""Members of a flavor that name a file or folder of the model."""
_PLACES = _FILES | {"env", "conda", "virtualenv", "path"}
"""Members, also of what stands in a flavor, that a loader takes for a place below the model's folder."""


MODULES = {
    "pickle_module_info.txt": frozenset({"mlflow.pytorch.pickle_module", "pickle", "cloudpickle", "dill"}),
    "keras_module.txt": frozenset({"keras", "tensorflow.keras", "tf_keras"}),
}
"""Files in which MLflow's loaders find the name of a module that they import, and the names that it writes."""
_LONGEST_MODULE = 200


def named_module(file: str, content: bytes) -> Finding | None:
    """The finding that one of `MODULES` names another module."""
    name = content[:_LONGEST_MODULE].decode("utf-8", errors="replace").strip()
    return None if name in MODULES[file] else Finding(Code.CUSTOM_CODE, f"loading the model imports {name}")


def mlmodel(content: bytes) -> Facts:
    """What an ``MLmodel`` says: it must be YAML, and name no loader or code of its own.

    :raises Finding: it cannot be read.
    """
    if len(content) > MLMODEL_BYTES:
        raise Finding(Code.OVERSIZE_HEADER, f"MLmodel has more than {MLMODEL_BYTES} bytes")
    findings = check_yaml(content)
    if findings:
        return Facts(findings=findings)
    document: Any = load_yaml(content, what="MLmodel")
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict):
        raise Finding(Code.MALFORMED, "MLmodel has no flavors")
    findings += [
        Finding(Code.PATH_ESCAPE, f"MLmodel names the path {text!r}")
        for name, text in _texts(flavors)
        if _climbs(text) or (text and name in _PLACES and escapes(text))
    ]
    findings += _loaders(flavors.get(_PYFUNC))
    findings += _of_flavors(flavors)
    onnx = flavors.get("onnx")
    return Facts(
        findings=findings,
        needed=[] if findings else list(_needed(flavors)),
        signature=_signature(document, findings),
        describes=str(onnx["data"]) if isinstance(onnx, dict) and "data" in onnx else None,
    )


def _signature(document: dict[Any, Any], findings: list[Finding]) -> Signature | None:
    if document.get("signature") is None:
        return None
    try:
        return declared(document["signature"])
    except Finding as finding:
        findings.append(finding)
        return None


def _loaders(pyfunc: object) -> Iterator[Finding]:
    if not isinstance(pyfunc, dict):
        return
    env = pyfunc.get("env") or {}
    for file in sorted({str(value) for value in (env.values() if isinstance(env, dict) else [env])}):
        if file not in (CONDA, MLFLOW) and not escapes(file):  # what these say is looked at
            yield Finding(Code.FOREIGN_REQUIREMENT, f"what is installed for the model stands in {file!r}")
    loader = str(pyfunc.get("loader_module", ""))
    if loader and loader not in _LOADERS:
        yield Finding(Code.CUSTOM_CODE, f"loading the model imports {loader}")


def _of_flavors(flavors: dict[Any, Any]) -> Iterator[Finding]:
    """What each flavor may say, as its own loader reads it."""
    named = {name: flavor for name, flavor in flavors.items() if isinstance(flavor, dict)}
    if any(flavor.get("code") or flavor.get("model_code_path") for flavor in named.values()):
        yield Finding(Code.CUSTOM_CODE, "loading the model puts its own code on the import path")
    modules = sorted({str(flavor["keras_module"]) for flavor in named.values() if flavor.get("keras_module")})
    for module in modules:
        if module not in MODULES["keras_module.txt"]:
            yield Finding(Code.CUSTOM_CODE, f"loading the model imports {module}")
    classes = sorted({str(flavor["model_class"]) for flavor in named.values() if flavor.get("model_class")})
    for model_class in classes:
        if not model_class.startswith(_CLASSES):
            yield Finding(Code.CUSTOM_CODE, f"loading the model imports and calls {model_class}")
    for flavor in sorted(set(map(str, named)) - _FLAVORS - {_PYFUNC}):
        yield Finding(Code.CUSTOM_CODE, f"{flavor} has a loader of its own")
    fetched = _fetched(named.get("transformers", {}))
    if fetched is not None:
        detail = f"its weights are those of {fetched}, which are fetched when it is loaded"
        yield Finding(Code.SOURCE_NOT_INSPECTABLE, detail)


def _fetched(transformers: dict[Any, Any]) -> str | None:
    """Whose weights MLflow loads instead of those beside the MLmodel, in the order in which it looks; a path of its own
    is to Transformers the name of a repository where nothing is there.
    """
    base, source = transformers.get("local_base_model_path"), transformers.get("source_model_name")
    if base:
        return str(base)
    is_fetched = "source_model_revision" in transformers or (source and not transformers.get("model_binary"))
    return str(source) if is_fetched else None


def _needed(flavors: dict[Any, Any]) -> Iterator[Needed]:
    for flavor in flavors.values():
        if isinstance(flavor, dict):
            named = (value for key, value in flavor.items() if key in _FILES and isinstance(value, str))
            yield from (Needed(value) for value in named if not escapes(value))


def _texts(flavors: dict[Any, Any]) -> list[tuple[object, str]]:
    """Every text in the flavors, and what it is called: any of them may be a path below the model's folder."""
    waiting: list[tuple[object, Any]] = [(None, flavors)]
    texts: list[tuple[object, str]] = []
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += ((name, each) for each in value)
        elif isinstance(value, str):
            texts.append((name, value))
    return texts


def _climbs(value: str) -> bool:
    return ".." in re.split(r"[/\\]", value)
