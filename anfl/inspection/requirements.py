"""What must be installed before a model is loaded: pip's requirements, and the environments of MLflow, conda and uv.

MLflow installs what they say before it serves a model, and installing runs code. Packages by name come from the index
that whoever installs has chosen; whatever leads elsewhere brings code of its own, unless operators trust its host.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from anfl.inspection.codes import Code, Finding
from anfl.inspection.documents import check_yaml, load_yaml

_PACKAGE = re.compile(
    r"[A-Za-z0-9][\w.\-]* ?(?:\[[\w., \-]*\])? ?\(?(?: ?,? ?[<>=!~]{1,3} ?[\w.*+!\-]+)* ?\)? ?"
    r"(?:;[\w .'\"<>=!~()+*,\-]*)?",
    re.ASCII,
)
_MOST_BYTES = 1024 * 1024
"""Of what is written by hand: all but uv's lock."""
_LONGEST = 1000
"""Characters of a package with its versions."""
_HASH = re.compile(r" --hash[= ]\w+:\w+")
_FILE = re.compile(r"\.(?:whl|zip|conda|egg|tar|tgz|tbz|txz|tlz|gz|bz2|xz|lzma)$", re.IGNORECASE)
"""Ends of what pip, or conda, takes for a file rather than for a name."""
_OPTION = re.compile(
    r"(?:-r|--requirement)[= ]?requirements\.txt|(?:-c|--constraint)[= ]?constraints\.txt"
    r"|--pre|--prefer-binary|--require-hashes"
)
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url)[= ]?(https://\S+)")
_CONDA_PACKAGE = re.compile(r"(?:[\w.\-]+::)?\w[\w\s.=<>!~,|*+()\-]*", re.ASCII)
_PYTHON = re.compile(r"[\w.+\-]+", re.ASCII)
_COMMENT = re.compile(r"(?:^| )#.*")
_ENCODING = re.compile(r"coding[:=]\s*([-\w.]+)")
_PLAIN_ENCODINGS = ("utf-8", "utf8", "ascii", "us-ascii")
_UV_ADDRESSES = ("registry", "url", "git")
_UV_FILES = ("path", "directory", "editable")
"""Members of what a lock says of where a package comes from; the project itself is ``.``."""
PIP = frozenset({"requirements.txt", "constraints.txt"})
CONDA, MLFLOW, UV = "conda.yaml", "python_env.yaml", "uv.lock"
NAMES = PIP | {CONDA, MLFLOW, UV}
"""Files that MLflow reads beside an MLmodel, in lower case."""
_WITHOUT_LOCK = (
    "; log the model with MLFLOW_LOG_UV_FILES=false, and MLflow goes by its requirements.txt, or have the host trusted"
)


def requirements(name: str, content: bytes, *, hosts: tuple[str, ...] = ()) -> list[Finding]:
    """What is questionable in one of `NAMES`.

    :param hosts: trusted ones: indexes and channels there, and files that uv's lock has from there, may be named.
    :raises Finding: it cannot be read.
    """
    trusted = Trusted(hosts)
    if name != UV and len(content) > _MOST_BYTES:
        raise Finding(Code.TOO_LARGE, f"{name} of more than {_MOST_BYTES} bytes")
    if name in PIP:
        return _first(_of_pip(content.decode(errors="replace"), trusted))
    if name == UV:
        return _first(_of_uv(content.decode(errors="replace"), trusted), _WITHOUT_LOCK)
    of = _of_conda if name == CONDA else _of_mlflow
    return check_yaml(content) or _first(of(load_yaml(content, what="it"), trusted))


class Trusted:
    """Hosts whose packages are as good as those of the index that whoever installs has chosen."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """:param hosts: each with its port, where that is not HTTPS's own."""
        self._hosts = frozenset(host.lower() for host in hosts)

    def has(self, address: str) -> bool:
        """Whether an address is HTTPS at one of them, and as plain as every reader takes it for the same."""
        if re.fullmatch(r"https://[A-Za-z0-9.:-]+(?:/[\w.~/+%=@,-]*)?(?:#[\w=&.-]*)?", address, re.ASCII) is None:
            return False
        return urlsplit(address).netloc.lower() in self._hosts


def _first(elsewhere: Iterator[str], advice: str = "") -> list[Finding]:
    found = next(elsewhere, None)
    detail = f"what it has installed comes from elsewhere than an index: {(found or '')[:200]!r}{advice}"
    return [] if found is None else [Finding(Code.FOREIGN_REQUIREMENT, detail)]


def _of_pip(text: str, trusted: Trusted) -> Iterator[str]:
    """Lines that are no names of packages. pip decodes the file as its first lines say."""
    lines = text.removeprefix("\ufeff").splitlines()
    for line in lines[:2]:
        encoding = _ENCODING.search(line) if line.startswith("#") else None
        if encoding is not None and encoding[1].lower() not in _PLAIN_ENCODINGS:
            yield line
    yield from _no_packages("\n".join(lines).replace("\\\n", "").split("\n"), trusted)


def _no_packages(lines: Iterable[str], trusted: Trusted) -> Iterator[str]:
    for given in lines:
        line = _HASH.sub("", _COMMENT.sub("", " ".join(given.split())))
        if line and not (_OPTION.fullmatch(line) or _is_index(line, trusted) or _is_package(line, _PACKAGE)):
            yield line


def _is_index(line: str, trusted: Trusted) -> bool:
    index = _INDEX.fullmatch(line)
    return index is not None and trusted.has(index[1])


def _is_package(line: str, pattern: re.Pattern[str]) -> bool:
    """Whether a line is a package's name, with versions it may have, and without options."""
    if len(line) > _LONGEST or _FILE.search(line) or " -" in line:
        return False
    return pattern.fullmatch(line) is not None


def _of_conda(document: Any, trusted: Trusted) -> Iterator[str]:  # noqa: ANN401 - whatever YAML holds
    """Channels that are no names of anaconda.org's, packages with an address, and variables that tools heed."""
    if not isinstance(document, dict):
        return
    channels = map(str, _list(document.get("channels")))
    yield from (channel for channel in channels if re.search(r"[/\\:$]", channel) and not trusted.has(channel))
    yield from (str(value) for value in [document.get("variables")] if value)
    for package in _list(document.get("dependencies")):
        if isinstance(package, dict):
            yield from (line for lines in package.values() for line in _of_lines(lines, trusted))
        elif not _is_package(str(package), _CONDA_PACKAGE):
            yield str(package)


def _of_mlflow(document: Any, trusted: Trusted) -> Iterator[str]:  # noqa: ANN401 - whatever YAML holds
    if not isinstance(document, dict):
        return
    python = document.get("python")
    if python is not None and _PYTHON.fullmatch(str(python)) is None:
        yield str(python)
    for member in ("build_dependencies", "dependencies"):
        yield from _of_lines(document.get(member), trusted)


def _of_uv(text: str, trusted: Trusted) -> Iterator[str]:
    """Addresses and files: uv installs from those in the lock, whatever index its user has chosen."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Finding(Code.MALFORMED, f"it cannot be read: {error}") from None
    for name, value in _texts("", document):
        is_address = name in _UV_ADDRESSES or "://" in value
        if (is_address and not trusted.has(value)) or (name in _UV_FILES and value != "."):
            yield value


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Every text in a document, with the name of its member."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _texts(key, member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(name, item)


def _of_lines(value: object, trusted: Trusted) -> Iterator[str]:
    """Of a list that is written to a file of requirements, line by line."""
    return _of_pip("\n".join(map(str, _list(value))), trusted)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
