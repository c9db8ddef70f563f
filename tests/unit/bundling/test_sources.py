"""What belongs to a bundle, and what its name depends on."""

import ast
import os
from pathlib import Path

import pytest

from anfl.resources import Caretaker, Function, Service
from bundling import sources
from bundling.context import stage_context
from bundling.errors import BundleMissingError
from bundling.functions import bundle_for
from bundling.images import image_for
from bundling.sources import ROOT, digest, files_below, modules_used_by


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    package = tmp_path / "anfl"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep" / "__init__.py").write_text("import json\n")
    (package / "deep" / "leaf.py").write_text("def f():\n    from anfl import late\n")
    (package / "late.py").touch()
    (package / "unused.py").touch()
    (tmp_path / "handler.py").write_text("import anfl.deep.leaf\n")
    return tmp_path


def test_a_bundle_holds_what_is_imported_and_nothing_else(tree: Path) -> None:
    found = modules_used_by([tree / "handler.py"], root=tree)
    names = [path.relative_to(tree / "anfl").as_posix() for path in found]
    assert names == ["__init__.py", "deep/__init__.py", "deep/leaf.py", "late.py"]


def test_the_hash_depends_on_content_and_path_alone(tree: Path) -> None:
    files = files_below(tree)
    before = digest(files, root=tree)
    for path in files:
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert digest(reversed(files), root=tree) == before
    (tree / "handler.py").rename(tree / "other.py")
    assert digest(files_below(tree), root=tree) != before


def test_the_hash_cannot_confuse_where_one_file_ends(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("xy")
    second.write_text("z")
    before = digest([first, second], root=tmp_path)
    first.write_text("x")
    second.write_text("yz")
    assert digest([first, second], root=tmp_path) != before


@pytest.mark.parametrize("function", [*Function, *Caretaker])
def test_no_function_ships_the_command_line_or_the_services(function: Function | Caretaker) -> None:
    folders = {path.relative_to(ROOT / "anfl").parts[0] for path in bundle_for(function).modules}
    assert folders.isdisjoint({"cli", "client", "http"})


@pytest.mark.parametrize("function", [*Function, *Caretaker])
def test_every_function_has_a_handler_and_a_lock(function: Function | Caretaker) -> None:
    bundle = bundle_for(function)
    assert (bundle.source / "handler.py").is_file()
    assert "--hash=sha256:" in bundle.requirements.read_text()


def test_a_missing_bundle_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bundling.functions.BUILD", tmp_path)
    with pytest.raises(BundleMissingError, match="make bundle"):
        bundle_for(Function.AUTH).require()


@pytest.mark.parametrize("service", Service)
def test_an_image_is_staged_with_all_that_its_tag_covers(service: Service, tmp_path: Path) -> None:
    image = image_for(service)
    stage_context(image, tmp_path)
    staged = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    made = {path.with_name(f"lib{path.stem}.so") for path in staged if path.suffix == ".cpp"}
    assert made <= staged
    staged -= made  # compiled from what the tag covers
    assert staged == {path.relative_to(ROOT) for path in image.files}
    assert bool(made) is (service is Service.VECTOR_STORE)
    folder = Path("services") / service.replace("-", "_")
    assert {folder / name for name in ("Dockerfile", "requirements.txt", "__main__.py")} <= staged
    assert digest([tmp_path / path for path in staged], root=tmp_path).startswith(image.tag)


def test_imports_are_those_of_the_syntax_tree() -> None:
    """Files are read by statement, which is faster; a form that this would miss must not slip into the sources."""
    for path in sorted((*(ROOT / "anfl").rglob("*.py"), *(ROOT / "lambda_src").rglob("*.py"))):
        wanted = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                wanted |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        assert wanted <= set(sources._imported_names(path.read_text())), path


def test_the_function_starts_without_what_builds_graphs() -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in bundle_for(Function.VECTOR_PROCESSING).modules}
    assert "anfl/vectors/store.py" in modules
    assert "anfl/vectors/engine/compaction.py" not in modules


def test_what_is_hidden_is_no_source(tmp_path: Path) -> None:
    """An image takes all of its service's folder: credentials that somebody keeps there while they work, too."""
    folder = tmp_path / ".checkout" / "service"
    for name in ("app.py", ".env", ".idea/x.xml", "__pycache__/app.pyc", "below/Dockerfile"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert [str(path.relative_to(folder)) for path in files_below(folder)] == ["app.py", "below/Dockerfile"]
