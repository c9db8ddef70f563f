"""The site: every page, links that lead somewhere, the API's description."""

import json
import re
from pathlib import Path

import pytest

from documentation.__main__ import main
from documentation.pages import OPENAPI, site
from stacks.settings import ROOT


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return {path: content.decode() for path, content in site().items()}


def test_every_document_is_a_page(files: dict[str, str]) -> None:
    pages = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    assert "aws_architecture.html" in pages
    assert files.keys() == pages | {"index.html", "api.html", "404.html", "style.css", OPENAPI}


def test_every_link_leads_to_a_page_and_a_heading(files: dict[str, str]) -> None:
    checked = 0
    for page, text in files.items():
        for href in re.findall(r'href="([^"]+)"', text):
            if re.match("[a-z]+:", href):
                continue
            path, _, anchor = href.partition("#")
            target = path.removeprefix("/") or page
            assert target in files, f"{page}: {href}"
            assert not anchor or f'id="{anchor}"' in files[target], f"{page}: {href}"
            checked += 1
    assert checked > 20


def test_what_the_site_does_not_have_is_text(files: dict[str, str]) -> None:
    assert "[`architecture.yaml`](architecture.yaml)" in (ROOT / "README.md").read_text()
    assert "architecture.yaml</code>" in files["index.html"]
    assert 'href="/None' not in "".join(files.values())


def test_pages_run_no_script_and_style_nothing_inline(files: dict[str, str]) -> None:
    """The site's content security policy admits neither."""
    for page, text in files.items():
        if page.endswith(".html"):
            assert not re.search(r"<script|<style|<[a-z0-9]+[^>]* style=", text.replace("style.css", ""))


def test_the_description_of_the_api(files: dict[str, str]) -> None:
    described = json.loads(files[OPENAPI])
    assert described["servers"] == [{"url": "https://api.lib.aeonova.com"}]
    for path in described["paths"]:
        assert f"<code>{path}</code>" in files["api.html"]


def test_build_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "site"
    assert main(["build", str(folder)]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == site()
    assert capsys.readouterr().out == f"{len(site())} files in {folder}\n"
