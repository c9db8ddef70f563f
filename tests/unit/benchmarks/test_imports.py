"""Import times, measured on small bundles."""

import zipfile
from pathlib import Path

import pytest

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.imports import RUNS, measure_archive


def bundle(folder: Path, **modules: str) -> Path:
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in modules.items():
            archive.writestr(f"{name}.py", source)
    return path


def test_the_time_is_the_imports_own_and_the_size_that_of_the_files(tmp_path: Path) -> None:
    sources = {"handler": "import other", "other": "import time\ntime.sleep(0.05)"}
    shares: list[float] = []
    found = measure_archive("auth", bundle(tmp_path, **sources), lambda _, share: shares.append(share))
    assert found.function == "auth"
    assert len(found.runs) == RUNS
    assert 50 <= found.milliseconds == sorted(found.runs)[RUNS // 2]
    assert found.unzipped_bytes == sum(len(source) for source in sources.values())
    assert (shares[0], shares[-1]) == (0, 1)


@pytest.mark.parametrize("module", ["anfl", "boto3", "numpy"])
def test_nothing_but_the_bundle_and_the_standard_library_is_there(module: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=f"auth: its handler cannot be imported .* No module named '{module}'"):
        measure_archive("auth", bundle(tmp_path, handler=f"import {module}"), lambda *_: None)


def test_every_run_compiles_as_a_cold_start_does(tmp_path: Path) -> None:
    source = "import os\nassert not os.path.exists(os.path.join(os.path.dirname(__file__), '__pycache__'))"
    assert measure_archive("auth", bundle(tmp_path, handler=source), lambda *_: None).milliseconds > 0


def test_what_a_handler_prints_does_not_disturb(tmp_path: Path) -> None:
    assert measure_archive("auth", bundle(tmp_path, handler="print('hello')"), lambda *_: None).milliseconds > 0
