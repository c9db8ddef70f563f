"""What a file is, by its content; and whether its name says something else."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from anfl.inspection import compressed, onnx_wire, tars, templates, tensors, text, zips
from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.files import is_pickle

HEAD_BYTES = 512
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"})
_EXECUTABLES = (b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_BEFORE_HDF5 = 512
"""So many bytes of anything may stand before it, or twice as many, and so on."""
_UNSUPPORTED = {
    _HDF5: "HDF5 (Keras)",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"GGUF": "GGUF",
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"\x00asm": "WebAssembly",
}
_TENSORFLOW = frozenset({".pb", ".tflite"})
_SAVED_MODEL = "saved_model.pbtxt"
_ZFILE_HEADER = 21
_EXPECTED = {
    ".safetensors": {"safetensors"},
    ".npy": {"npy"},
    ".npz": {"zip"},
    ".zip": {"zip"},
    ".skops": {"zip"},
    ".keras": {"zip"},
    ".tar": {"tar"},
    ".onnx": {"onnx"},
    ".json": {"text"},
    ".yaml": {"text"},
    ".yml": {"text"},
    ".txt": {"text"},
    ".md": {"text"},
    ".csv": {"text"},
    ".lock": {"text"},
    "MLmodel": {"text"},
    **{extension: {"text"} for extension in (*templates.SUFFIXES, *text.SOURCES)},
}
"""What a file with this extension, or this name without one, must be: anything else would be opened as something that
it is not."""
_OTHER_ZIPS = frozenset({".npz", ".skops", ".keras"})
_MAY_BE_EMPTY = {".yaml", ".yml", ".txt", ".md", ".csv", ".lock", *templates.SUFFIXES, *text.SOURCES}
_NEVER_EMPTY = (
    (_EXPECTED.keys() - _MAY_BE_EMPTY)
    | _PICKLE_SUFFIXES
    | {".pt", ".pth", ".ckpt", ".h5", ".hdf5", ".gguf", ".tflite", ".pb", ".gz", ".bz2", ".xz", ".tgz"}
)
_BY_NAME = (".safetensors", ".onnx", ".npy", ".npz", ".zip")
"""Where no content tells the format, what the extension promises is what it fails to be."""


def suffix_of(name: str) -> str:
    """The extension, in lower case and with its dot."""
    return PurePosixPath(name).suffix.lower()


def format_of(name: str, path: Path, *, tick: Callable[[], None]) -> str | None:
    """The format of a file; None where it is none that is known.

    :param tick: raises when the time is over.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        return "empty"
    if tensors.looks_like_safetensors(head):
        return "safetensors"
    simple = format_of_head(head)
    if simple is not None:
        return simple
    if compressed.is_compressed(head):
        return "tar" if tars.is_tar(path) else "compressed"
    if tars.begins_like_tar(head):
        return "tar"
    if onnx_wire.looks_like(head):
        return "onnx"
    if unsupported(head) is not None:
        return "unsupported"
    if suffix_of(name) in _PICKLE_SUFFIXES or is_pickle(path, tick=tick):
        return "pickle"
    with path.open("rb") as stream:
        if text.is_text(stream):
            return "text"
    if head.startswith(b"MZ"):
        return "executable"
    suffix = suffix_of(name)
    return {".npz": "zip"}.get(suffix, suffix.removeprefix(".")) if suffix in _BY_NAME else None


def _kind_of(name: str) -> str:
    """What tells readers of a file, or of an archive's member, how to read it: its extension, or else its name."""
    base = PurePosixPath(name.rpartition("!")[2])
    return base.suffix.lower() or base.name


def is_no_torch(name: str) -> bool:
    """Whether a zip archive's name says that others than torch read it, to whom all members are files."""
    return suffix_of(name) in _OTHER_ZIPS


def needs_content(name: str) -> bool:
    """Whether no reader of such a file takes an empty one."""
    return _kind_of(name) in _NEVER_EMPTY


def format_of_head(head: bytes) -> str | None:
    """Formats that their first bytes tell."""
    if head.startswith(zips.MAGIC):
        return "zip"
    if head.startswith(tensors.NPY_MAGIC):
        return "npy"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    return "executable" if head.startswith(_EXECUTABLES) else None


def unsupported(head: bytes) -> str | None:
    """What a file is that begins with ``head``, where that is known and not looked into."""
    if _is_zfile(head):
        return "compressed by a joblib of long ago"
    return next((what for magic, what in _UNSUPPORTED.items() if head.startswith(magic)), None)


def read_elsewhere(name: str, path: Path) -> list[Finding]:
    """The finding that another reader takes a file, whatever else it is, for what is not looked into.

    TensorFlow goes by the name, and passes over members of a message that it does not know.
    """
    base = PurePosixPath(name.rpartition("!")[2])
    if base.suffix.lower() in _TENSORFLOW or base.name == _SAVED_MODEL:
        return [Finding(Code.UNSUPPORTED_FORMAT, "TensorFlow reads it as a graph, which is not looked into")]
    if _holds_hdf5(path):
        return [Finding(Code.UNSUPPORTED_FORMAT, "HDF5 (Keras) begins within it, which is not looked into")]
    return []


def _holds_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        place = _BEFORE_HDF5
        while stream.seek(place) and (found := stream.read(len(_HDF5))):
            if found == _HDF5:
                return True
            place *= 2
    return False


def _is_zfile(head: bytes) -> bool:
    """Whether joblib would take it for one of its first compressed files: two letters, then a size."""
    try:
        return head.startswith(b"ZF") and int(head[2:_ZFILE_HEADER], 16) >= 0
    except ValueError:
        return False


def misleading(name: str, form: str | None) -> list[Finding]:
    """The finding that a name promises another format."""
    expected = _EXPECTED.get(_kind_of(name))
    if expected is None or form is None or form in expected | {"empty"}:
        return []
    return [Finding(Code.MISLEADING_EXTENSION, f"the content is {form}")]
