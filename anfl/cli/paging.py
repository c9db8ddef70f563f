"""Answers of the model registry that come page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from anfl.client import Client


def pages(client: Client, path: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All pages of what GET ``path`` answers, one after another; each is asked for when it is wanted.

    :raises ApiError, ForeignAnswerError, UnreachableError, UnsendableError: see `Client.json`.
    """
    asked = dict(parameters)
    while True:
        page = client.json("GET", path, params=asked)
        yield page
        if not (token := page.get("next_page_token")):
            return
        asked["page_token"] = token
