"""JSON files that models bring: which other files they name, and whether they have a loader run code."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from anfl.inspection.codes import Code, Finding
from anfl.inspection.examination import Facts, Needed
from anfl.inspection.members import escapes
from anfl.inspection.pickles.globals import judge
from anfl.inspection.templates import chat_template, chat_templates

_MAX_NODES = 2_000_000
_CONFIGURATIONS = (
    "config.json",
    "chat_template.json",
    ".index.json",
    "schema.json",
    "modules.json",
    "model_index.json",
    "parameters.json",
    "input_transform.json",
    "prediction_net.json",
    "predictor.json",
)
_KERAS = frozenset({"keras", "keras_cv", "keras_hub", "keras_nlp", "keras_rs", "tensorflow", "tf_keras"})
"""Packages whose classes Keras may import for a model."""
_KERAS_CODE = frozenset(
    {"Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
)
"""What runs, or loads past this inspection, what its configuration says."""
SAVED_POLICY = "!data"
"""Member of an archive of Stable-Baselines3's."""
_SERIALIZED = ":serialized:"
_SENTENCE_TRANSFORMERS = "sentence_transformers."
_CALLED_BY_SENTENCE_TRANSFORMERS = (
    "activation_function",
    "activation_fn",
    "sbert_ce_default_activation_function",
    "tokenizer_class",
)
_LAYERS = (_SENTENCE_TRANSFORMERS, "torch.nn.", "transformers.")
_JSONPICKLE = ("py/function", "py/object", "py/reduce", "py/repr", "py/type")
_DIFFUSERS = frozenset(
    [
        "diffusers",
        "transformers",
        "deepfloyd_if",
        "kandinsky",
        "latent_diffusion",
        "paint_by_example",
        "stable_cascade",
        "stable_diffusion",
        "stable_diffusion_safe",
        "unidiffuser",
        "wuerstchen",
    ]
)
"""Packages, and kinds of its own pipelines, whose classes Diffusers may import for a pipeline."""


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
        findings += (
            Finding(Code.CUSTOM_CODE, f"{member}: loading the model may import code of its own")
            for member in ("auto_map", "custom_pipelines")
            if document.get(member)
        )
        findings += (finding for source in chat_templates(document) for finding in chat_template(source))
        if name.endswith(".index.json") and isinstance(document.get("weight_map"), dict):
            _shards(document["weight_map"], findings, needed)
    findings += _calls(document)
    base = PurePosixPath(name.rpartition("!")[2]).name
    if base.endswith("config.json"):
        findings += _named_by_modules(document)
    if base == "config.json":
        findings += _keras_code(document) + _kernels(document)
    if base == "adapter_config.json":
        findings += _adapter(document)
    if base == "schema.json":
        findings += _skops_imports(document)
    if base == "modules.json":
        findings += _modules(document)
    if base == "model_index.json":
        findings += _pipeline(document)
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
        if isinstance(module, str) and name[:1].islower():
            return [Finding(Code.CUSTOM_CODE, f"loading the model calls {module}.{name}")]
        settings = value.get("config")
        if isinstance(settings, dict) and isinstance(settings.get("vocabulary"), str):
            return [Finding(Code.CUSTOM_CODE, f"loading the model has {name} read {settings['vocabulary']!r}")]
    return []


def _kernels(document: object) -> list[Finding]:
    """Transformers fetches an implementation that is named like a repository, and runs it."""
    members = ("attn_implementation", "_attn_implementation")
    named = {str(value[name]) for value in _objects(document) for name in members if "/" in str(value.get(name))}
    return [Finding(Code.CUSTOM_CODE, f"loading the model runs the kernel {name}") for name in sorted(named)]


def _adapter(document: object) -> list[Finding]:
    """PEFT imports the library of the model that an adapter is for, and Megatron's parallel layers."""
    settings = document if isinstance(document, dict) else {}
    mapping = settings.get("auto_mapping")
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    foreign = [] if library is None or str(library).partition(".")[0] == "transformers" else [str(library)]
    core = settings.get("megatron_core")
    foreign += [] if core in (None, "megatron.core") else [str(core)]
    return [Finding(Code.CUSTOM_CODE, f"loading the adapter imports {name}") for name in foreign]


def _modules(document: object) -> list[Finding]:
    """Sentence Transformers imports each module's type, and has it load its folder."""
    modules = document if isinstance(document, list) else []
    types = {str(value["type"]) for value in modules if isinstance(value, dict) and "type" in value}
    foreign = sorted(name for name in types if not name.startswith(_SENTENCE_TRANSFORMERS))
    return [Finding(Code.CUSTOM_CODE, f"loading the model imports {name}") for name in foreign]


def _named_by_modules(document: object) -> list[Finding]:
    """And some modules import, for their own configurations, an activation, a tokenizer, or modules in turn."""
    named: list[object] = []
    for value in _objects(document):
        named += (value.get(member) for member in _CALLED_BY_SENTENCE_TRANSFORMERS)
        types = value.get("types")
        named += types.values() if isinstance(types, dict) else ()
    foreign = {name for name in named if isinstance(name, str) and "." in name and not name.startswith(_LAYERS)}
    return [Finding(Code.CUSTOM_CODE, f"loading the model imports {name}") for name in sorted(foreign)]


def _calls(document: object) -> Iterator[Finding]:
    """JSON that is read like a pickle: by GluonTS, and by jsonpickle."""
    for value in _objects(document):
        if "__kind__" in value and isinstance(value.get("class"), str):
            yield Finding(Code.CUSTOM_CODE, f"GluonTS imports and calls {value['class']} for it")
            return
        if any(isinstance(value.get(member), str | list) for member in _JSONPICKLE):
            yield Finding(Code.CUSTOM_CODE, "jsonpickle imports and calls what it names")
            return


def _pipeline(document: object) -> list[Finding]:
    """Diffusers imports what a member is of: a pair of package and class."""
    members = document.items() if isinstance(document, dict) else ()
    pairs = [(name, value) for name, value in members if isinstance(value, list) and len(value) == 2]
    return [
        Finding(Code.CUSTOM_CODE, f"{name}: loading the model imports {value[0]}.{value[1]}")
        for name, value in pairs
        if all(isinstance(part, str) for part in value) and value[0] not in _DIFFUSERS
    ]


def _skops_imports(document: object) -> list[Finding]:
    """As of a pickle: skops asks its caller whom to trust, and an MLmodel may answer for the caller."""
    named: dict[tuple[str, str], None] = {}
    methods: list[Finding] = []
    for value in _objects(document):
        module, name, loader = value.get("__module__"), value.get("__class__"), value.get("__loader__")
        if loader == "OperatorFuncNode":  # whatever module it tells
            module = "operator"
        elif loader == "MethodNode":
            methods = [Finding(Code.CUSTOM_CODE, "skops takes a method of what it loads")]
        for pair in ((module, name), (value.get("module_path"), value.get("function"))):
            if isinstance(pair[0], str) and isinstance(pair[1], str):
                named[pair[0], pair[1]] = None
    judged = (judge(module, name) for module, name in named)
    return [finding for finding in judged if finding is not None] + methods


def saved_policy(content: bytes) -> list[Finding]:
    """What ``data`` says in Stable-Baselines3's archives: pickles are texts in it, and each is loaded.

    :raises Finding: it is too large to follow.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):  # so its loader fails as well, or it is something else's
        return []
    if any(_SERIALIZED in value for value in _objects(document)):
        return [Finding(Code.CUSTOM_CODE, "loading the model unpickles what its configuration holds")]
    return []


def _objects(document: object) -> Iterator[dict[str, Any]]:
    """Every object of a document.

    :raises Finding: there are too many objects and lists.
    """
    waiting: list[object] = [document]
    count = 0
    while waiting:
        count += 1
        if count > _MAX_NODES:
            raise Finding(Code.TOO_COMPLEX, f"JSON of more than {_MAX_NODES} objects and lists")
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
        within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += (each for each in within if isinstance(each, dict | list))
