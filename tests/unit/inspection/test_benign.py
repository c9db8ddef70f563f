"""Files as real libraries write them are VALIDATED."""

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy

from anfl.cli.inspection import inspect_path
from tests.unit.inspection.corpus.onnx_models import external, model

_DESCRIPTIONS: list[Any] = [
    [("a", "<i4"), ("b", ">f8")],
    [("a", "i1"), ("b", "O")],
    [("text", "U3"), ("inner", [("values", "f4", (2, 3)), ("object", "O")])],
    [(("a title", "a"), "i4")],
    {"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 16},
    *("M8[ns]", "m8[25s]", "U3", "S5", "V8", "?", "c8", "O", ">i2", "g", []),
]
TYPES: list[np.dtype[Any]] = [
    np.dtype(described, align=align) for align in (False, True) for described in _DESCRIPTIONS
]
SAMPLES = Path(__file__).parent / "samples"


def test_files_that_were_saved_by_other_libraries_are_validated() -> None:
    """Those of scikit-learn, joblib, torch, xgboost, lightgbm, skops, SciPy, pandas, skl2onnx: `samples/make.py`."""
    folders = [folder for folder in SAMPLES.iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    assert len(folders) == 4
    for folder in folders:
        verdict = inspect_path(folder)
        assert (verdict["status"], verdict["reasons"]) == ("VALIDATED", []), folder.name
        assert all(file["format"] for file in verdict["files"])


def test_what_numpy_and_safetensors_write_is_validated(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(30, 4)).astype(np.float32)
    np.save(tmp_path / "plain.npy", values)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(values))
    np.save(tmp_path / "objects.npy", np.array([None, "text", 1, {"a": [1.5]}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "structured.npy", np.zeros(3, [("a", "<f4"), ("b", "<i8", (2,))]))
    np.savez(tmp_path / "several.npz", values=values, empty=np.zeros(0))
    np.savez_compressed(tmp_path / "compressed.npz", values=np.zeros(1_000_000))
    safetensors.numpy.save_file({"a": values, "b": np.zeros(0, np.int8)}, tmp_path / "model.safetensors")
    safetensors.numpy.save_file({"a": values}, tmp_path / "described.safetensors", metadata={"format": "np"})
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = {"array": values, "random": random, "old": np.random.RandomState(1), "masked": np.ma.array([1, 2])}
        content |= {f"{number}": np.zeros(2, kind) for number, kind in enumerate(TYPES)} | {
            "scalar": np.zeros(2, TYPES[0])[0]
        }
        (tmp_path / f"protocol{protocol}.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    assert inspect_path(tmp_path)["reasons"] == []


def test_what_zlib_begins_with_text_is_validated(tmp_path: Path) -> None:
    written = 0
    for number in range(100):
        values = [f"{value:x}" for value in np.random.default_rng(number).integers(1 << 40, size=50)]
        content = zlib.compress(pickle.dumps(values), level=3)
        written += content[:6].isascii()
        (tmp_path / f"{number}.joblib").write_bytes(content)
    assert written, "no file tests this"
    assert inspect_path(tmp_path)["reasons"] == []


def test_plain_documents_are_validated(tmp_path: Path) -> None:
    documents = {
        "config.json": '{"hidden": 4, "score": NaN, "attn_implementation": "flash_attention_2"}',
        "pickle_module_info.txt": "mlflow.pytorch.pickle_module",
        "keras_module.txt": "keras",
        "modules.json": '[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]',
        "model_index.json": '{"_class_name": "P", "a": ["diffusers", "B"], "c": [null, null], "d": [1, 2],'
        ' "e": ["stable_diffusion", "StableDiffusionSafetyChecker"]}',
        "keras/config.json": '{"module": "keras", "class_name": "Sequential", "config": {"layers": [{"module":'
        ' "keras.layers", "class_name": "TextVectorization", "config": {"vocabulary": ["a"], "n": {"class_name":'
        ' "__tuple__", "items": [1]}}}]}}',
        "adapter_config.json": '{"auto_mapping": {"base_model_class": "BertModel", "parent_library":'
        ' "transformers.models.bert.modeling_bert"}, "megatron_core": "megatron.core"}',
        "nested/adapter_config.json": '{"peft_type": "LORA", "auto_mapping": null, "base_model_name_or_path": "a/b"}',
        "dense/config.json": '{"in_features": 4, "activation_function": "torch.nn.modules.activation.Tanh"}',
        "words/wordembedding_config.json": '{"tokenizer_class":'
        ' "sentence_transformers.models.tokenizer.WhitespaceTokenizer.WhitespaceTokenizer"}',
        "router_config.json": '{"types": {"0": "sentence_transformers.models.Transformer.Transformer"}}',
        "gpt/config.json": '{"activation_function": "gelu_new", "tokenizer_class": "GPT2Tokenizer"}',
        "vocabulary/tokenizer.json": '{"model": {"vocab": {"py/object": 1, "__kind__": 2, "class": 3}}}',
        "numbers.json": f"[{'0,' * 2_500_000}0]",
        "classes/MLmodel": "flavors: {xgboost: {model_class: xgboost.sklearn.XGBClassifier},"
        " lightgbm: {model_class: lightgbm.basic.Booster}}\n",
        "bom.json": '\ufeff{"a": 1}',
        "conda.yaml": "name: x\nchannels: &c [a]\nother: *c\nwhen: 2024-01-01\n",
        "README.md": "# A model\nfor 日本語 👩‍🔬\n",
        "vocab.txt": "x^2\ncat\n(and)\n",
        "x.txt": "x^2",
        "power.txt": "x^2 grows faster than αx",
        "ZF.txt": "ZF is a name, and no size",
        "MZ.csv": "MZ,1\n",
        "merges.txt": "#version: 0.2\n",
        "empty.txt": "",
        "requirements.txt": "\ufeff# what it takes\nnumpy==2.0\nmlflow[extras,x] >=3, <4 ; python_version < '3.14'\n"
        "-c constraints.txt\ntorch==2.1+cu118 # of the index\nx~=1.0 \\\n  --hash=sha256:ab\n\n",
        "constraints.txt": "numpy<3\n",
        "python_env.yaml": "python: 3.13.0\nbuild_dependencies: [pip==24.0, wheel]\n"
        "dependencies: [-r requirements.txt]\n",
        "nested/conda.yaml": "channels: [conda-forge, defaults]\ndependencies: [python=3.13.0, pip<=24.0,"
        " 'numpy >=1.2,<2', 'conda-forge::x=1=py_0', {pip: ['mlflow==3.12.0', '-c constraints.txt']}]\n",
        "uv.lock": 'version = 1\n[[package]]\nname = "x"\nsource = { virtual = "." }\n',
    }
    for name, content in documents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert inspect_path(tmp_path)["reasons"] == []


CHAT_TEMPLATES = {
    "plain": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m.content|trim }}{% endfor %}",
    "named": """{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0]['content'] -%}
{%- set messages = messages[1:] -%}{%- endif -%}
{%- set ns = namespace(last=messages|length - 1, found=false) -%}
{%- for message in messages[::-1] -%}{%- set index = (messages|length - 1) - loop.index0 -%}
{%- if messages[index].role == "user" and not ns.found -%}{%- set ns.found = true %}{% set ns.last = index -%}
{%- endif -%}{%- endfor -%}{{ messages[ns.last].content }}{{ messages[loop_index + 1] }}""",
    "thinking": "{% set content = m.content.split('</think>')[-1].lstrip('\n') %}{{ content + '_' ~ content }}",
    "tools": """{%- macro described(spec, required) -%}{%- set types = {'string': 'str', 'number': 'float'} -%}
{%- for key, value in spec.items() -%}{{ key ~ ': ' ~ types[value.type] }}{{ spec[key] | tojson(indent=2) }}
{%- if key not in ['type', '__tool__'] %}, {% endif %}{%- endfor -%}
{%- for key in spec|dictsort|list -%}{{ spec[key[0]] }}
{%- endfor -%}{%- endmacro -%}
{%- for tool in tools | selectattr('type', 'equalto', 'function') -%}{{ described(tool.parameters, tool['required']) }}
{%- break -%}{%- endfor -%}{{ raise_exception('Roles must alternate: ' + role) }}{{ strftime_now('%d %b') }}""",
    "indices": """{% set ns = namespace(at=0, text='') %}{% set names = ['a', 'b'] %}{% set rest = messages[1:] %}
{% for m in rest %}{% set ns.text = ns.text + m['content'] + eos_token %}{{ messages[ns.at + 1]['role'] }}
{{ names[ns.at + 1] ~ roles[m['role']] ~ names|join(', ' ~ eos_token) ~ rest|map(attribute='role')|join }}
{{ (rest|sort(attribute='role')|groupby('role'))[0].list|length }}{{ names[::-1][0] }}{% endfor %}""",
    "generation": "{% generation %}{{ messages[0]['content'] }}{% endgeneration %}{% do seen.append(1) %}"
    "{{ seen[offsets['a'] + 1] }}",
}


def test_chat_templates_are_validated(tmp_path: Path) -> None:
    for name, template in CHAT_TEMPLATES.items():
        (tmp_path / f"{name}.jinja").write_text(template)
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    several = [{"name": name, "template": template} for name, template in CHAT_TEMPLATES.items()]
    for number, given in enumerate((several, CHAT_TEMPLATES, None, [])):
        (tmp_path / f"{number}_config.json").write_text(json.dumps({"chat_template": given}))
    assert inspect_path(tmp_path)["reasons"] == []


def test_what_is_empty_and_may_be_is_validated(tmp_path: Path) -> None:
    for name in ("__init__.txt", "empty.yaml", "merges.txt", "nothing"):
        (tmp_path / name).touch()
    assert inspect_path(tmp_path)["reasons"] == []


@pytest.fixture(name="sharded")
def _sharded(tmp_path: Path) -> Path:
    for number in (1, 2):
        safetensors.numpy.save_file({f"w{number}": np.ones(3)}, tmp_path / f"model-{number}.safetensors")
    index = '{"metadata": {}, "weight_map": {"w1": "model-1.safetensors", "w2": "model-2.safetensors"}}'
    (tmp_path / "model.safetensors.index.json").write_text(index)
    return tmp_path


def test_shards_and_their_index_are_validated(sharded: Path) -> None:
    assert inspect_path(sharded)["status"] == "VALIDATED"


def test_a_missing_shard_is_named(sharded: Path) -> None:
    (sharded / "model-2.safetensors").unlink()
    verdict = inspect_path(sharded)
    assert [(reason["code"], "model-2" in reason["detail"]) for reason in verdict["reasons"]] == [
        ("missing_file", True)
    ]


def test_weights_beside_an_onnx_model_are_plain_numbers(tmp_path: Path) -> None:
    onnx.save(model(change=external("weights.bin", length=64)), tmp_path / "model.onnx")
    (tmp_path / "weights.bin").write_bytes(np.ones((4, 4), np.float32).tobytes())
    verdict = inspect_path(tmp_path)
    assert verdict["reasons"] == []
    assert {file["path"]: file["format"] for file in verdict["files"]} == {
        "model.onnx": "onnx",
        "weights.bin": "numbers",
    }


def test_weights_that_are_cut_short_are_not(tmp_path: Path) -> None:
    onnx.save(model(change=external("weights.bin", offset=32, length=64)), tmp_path / "model.onnx")
    (tmp_path / "weights.bin").write_bytes(np.ones((4, 4), np.float32).tobytes())
    assert [reason["code"] for reason in inspect_path(tmp_path)["reasons"]] == ["truncated"]


def test_a_model_that_contradicts_its_signature_is_rejected(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "model.onnx")
    declared = """
flavors: {onnx: {data: model.onnx}, python_function: {loader_module: mlflow.onnx, data: model.onnx}}
signature: {inputs: '[{"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, %d]}}]'}
"""
    (tmp_path / "MLmodel").write_text(declared % 5)
    verdict = inspect_path(tmp_path)
    assert [(reason["code"], reason["file"]) for reason in verdict["reasons"]] == [("signature_mismatch", "MLmodel")]
    (tmp_path / "MLmodel").write_text(declared % 4)
    assert inspect_path(tmp_path)["status"] == "VALIDATED"
