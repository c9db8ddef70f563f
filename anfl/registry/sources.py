"""Where a version's artefacts are: the rules for ``source``, and which locations lie in this registry's own store.

As MLflow's server does it: ``models:/name/version`` and ``models:/name@alias`` are resolved at registration, local
paths are refused, and so is every path that could climb.
"""

import posixpath
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from anfl.problems import Problem
from anfl.registry import rules
from anfl.registry.aliases import Aliases
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.errors import invalid_parameter
from anfl.registry.locations import SCHEME, artifact_path
from anfl.registry.records import Records

PROXY_PATHS = ("/api/2.0/mlflow-artifacts/artifacts/", "/ajax-api/2.0/mlflow-artifacts/artifacts/")
_MODEL_VERSION = re.compile(r"/*(?P<name>[^/@]+)/(?P<version>\d+)")
_MODEL_ALIAS = re.compile(r"/*(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_MAX_DECODINGS = 10


def check_source(source: str, *, tags: Mapping[str, str]) -> None:
    """Refuse a source that names a local file or a path that could climb.

    Prompts need no artefacts, so a word will do for theirs; but whoever loads one as a model goes where it says.

    :raises Problem: 400.
    """
    parsed = _split(source)
    if tags.get(PROMPT_TAG, "false").lower() == "true":
        is_absolute = not parsed.scheme and (bool(parsed.netloc) or parsed.path.startswith("/"))
        if parsed.scheme == "file" or is_absolute:
            message = f"Invalid prompt source: '{source}'. Local source paths are not allowed for prompts."
            raise invalid_parameter(message, field="source")
        if not parsed.scheme:
            return
    elif parsed.scheme in ("", "file"):
        raise invalid_parameter(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, the run_id"
            " request parameter has to be specified and the local path has to be contained within the artifact"
            " directory of the run specified by the run_id.",
            field="source",
        )
    decoded = fully_decoded(source, plus=True)
    path = re.sub(r"/+", "/", _split(decoded).path.rstrip("/")) if decoded is not None else ""
    climbs = decoded is None or "\x00" in decoded or ".." in decoded.split("/")
    if climbs or not path.startswith("/") or posixpath.normpath(path) != path:
        raise invalid_parameter(
            f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp,"
            " objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references"
            " present. Please provide an absolute path.",
            field="source",
        )


def locate(source: str, *, tenant: str, records: Records, aliases: Aliases, hosts: frozenset[str]) -> str:
    """The location behind ``source``: itself, unless it refers to another version or to this registry's own proxy.

    :param hosts: names (with port) under which this registry's artefact proxy is reached.
    :raises Problem: 400 for a reference that cannot be read, 404 for one to what does not exist.
    """
    parsed = _split(source)
    if parsed.scheme in ("http", "https") and parsed.netloc in hosts:
        for proxy in PROXY_PATHS:
            _, found, path = parsed.path.partition(proxy)
            if found:
                return _stored(path)
    if parsed.scheme == SCHEME and parsed.netloc in hosts:
        return _stored(parsed.path)
    if parsed.scheme != "models":
        return _readable(source)
    path = parsed.path
    if match := _MODEL_VERSION.fullmatch(path):
        number = rules.version_number(match["version"])
        return records.version(tenant, match["name"], number).version.location
    if match := _MODEL_ALIAS.fullmatch(path):
        return aliases.version(tenant, match["name"], match["alias"]).version.location
    raise invalid_parameter(
        f"Unable to fetch model from model URI source artifact location '{source}'. Write models:/<name>/<version> or"
        " models:/<name>@<alias>.",
        field="source",
    )


def fully_decoded(text: str, *, plus: bool = False) -> str | None:
    """``text`` with percent-encoding removed until nothing changes; None where that does not end soon."""
    decode = unquote_plus if plus else unquote
    for _ in range(_MAX_DECODINGS):
        decoded = decode(text)
        if decoded == text:
            return text
        text = decoded
    return None


def _stored(path: str) -> str:
    """The location of a path in this registry's store: behind two slashes its first folder would be a host.

    :raises Problem: 400.
    """
    return _readable(f"{SCHEME}:/{path.lstrip('/')}")


def _readable(location: str) -> str:
    """``location``, which names one place of this registry's store, or lies elsewhere.

    :raises Problem: 400 where the place is no UTF-8: it would be the same one as others.
    """
    if artifact_path(location) is not None:
        try:
            unquote(location, errors="strict")
        except UnicodeDecodeError:
            message = f"Invalid model version source: '{location}'. Its path is not percent-encoded UTF-8."
            raise invalid_parameter(message, field="source") from None
    return location


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError:
        raise _unreadable(uri) from None


def _unreadable(source: str) -> Problem:
    return invalid_parameter(f"Invalid model version source: '{source}'. It is not a URI.", field="source")
