"""Which benchmarks run, on which data, and how what they find is printed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bundling.errors import BundleMissingError
from tests.benchmarks import authorizer, command, embeddings, imports, vectors
from tests.benchmarks.authorizer import AuthorizerFigures
from tests.benchmarks.command import app
from tests.benchmarks.embeddings import Embeddings
from tests.benchmarks.http import measure as http_measure
from tests.benchmarks.http.figures import HttpFigures
from tests.benchmarks.imports import ImportTime, ImportTimes
from tests.benchmarks.registry.figures import Call, Memory, Processor, RegistryFigures
from tests.benchmarks.sealing.figures import Pair, SealingFigures
from tests.benchmarks.vectors import Comparison
from tests.unit.benchmarks.test_http import GOOD

IMPORTS = ImportTimes(
    functions=[ImportTime(function="auth", milliseconds=20.0, runs=[19.0, 20.0, 31.0], unzipped_bytes=3 * 2**20)]
)


AUTHORIZER = AuthorizerFigures(imported=640.0, first=155.0, warm=0.07, warm_p99=0.3, miss=2.5, vault_calls=1)


@pytest.fixture(name="asked", autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the benchmarks were asked for; they answer at once. Vectors are compared for real, on few rows."""
    asked: dict[str, Any] = {}
    measure = vectors.measure

    def import_times(_report: object) -> ImportTimes:
        asked["imports"] = True
        return IMPORTS

    def of_the_authorizer(_report: object) -> AuthorizerFigures:
        asked["authorizer"] = True
        return AUTHORIZER

    def compare(found: Embeddings, **options: Any) -> Comparison:
        asked["vectors"] = found.source
        asked["threads"] = options["threads"]
        return measure(found, **options, rounds=1, round_seconds=0.0)

    def over_http(_found: object, **_options: object) -> HttpFigures:
        asked["http"] = True
        return GOOD

    def of_registries(**_options: object) -> RegistryFigures:
        asked["registry"] = True
        return REGISTRIES

    def of_sealing(_found: object, **_options: object) -> SealingFigures:
        asked["sealing"] = True
        return SEALING

    monkeypatch.setattr(command, "of_registries", of_registries)
    monkeypatch.setattr(command, "of_sealing", of_sealing)
    monkeypatch.setattr(http_measure, "measure", over_http)
    monkeypatch.setattr(imports, "measure", import_times)
    monkeypatch.setattr(authorizer, "measure", of_the_authorizer)
    monkeypatch.setattr(vectors, "measure", compare)
    monkeypatch.setattr(command, "load", lambda folder: embeddings.load(folder, sample=tmp_path / "sample"))
    folder = tmp_path / "sample"
    folder.mkdir()
    np.save(folder / "glosses.npy", np.random.default_rng(1).standard_normal((50, 8)).astype(np.float16))
    return asked


REGISTRIES = RegistryFigures(
    models=100,
    mlflow_version="3.12.0",
    calls=[Call(name="get", service=5.0, store=3.0, mlflow=8.0)],
    searches=[],
    processor=Processor(service=1.0, mlflow=2.0),
    memory=Memory(workers=1, service=2**20, mlflow=2**22),
)


SEALING = SealingFigures(
    source="random",
    rows=50,
    dimension=8,
    loads=[Pair(plain=100.0, sealed=95.0)],
    load_processor=[Pair(plain=400.0, sealed=410.0)],
    queries=[Pair(plain=1000.0, sealed=990.0)],
    query_processor=[Pair(plain=300.0, sealed=300.0)],
    colds=[Pair(plain=0.3, sealed=0.4)],
)


def run(*arguments: str, data: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"BENCH_DATA": data})


def test_everything_runs_by_default(asked: dict[str, Any]) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert {"imports", "authorizer", "vectors", "http", "registry", "sealing"} <= asked.keys()
    assert "0.070 ms" in result.stdout
    assert "Within the limits." in result.stdout
    assert "auth" in result.stdout
    assert "19 to 31 ms" in result.stdout
    assert "3.0 MiB" in result.stdout
    assert "raw hnswlib" in result.stdout
    assert "Every limit holds." in result.stdout
    assert "the repository's sample: glosses.npy, 5 rows of it as queries" in result.stdout


@pytest.mark.parametrize("name", ["imports", "authorizer", "vectors", "http", "registry", "sealing"])
def test_one_can_be_chosen(name: str, asked: dict[str, Any]) -> None:
    assert run("--only", name).exit_code == 0
    assert asked.keys() & {"imports", "authorizer", "vectors", "http", "registry", "sealing"} == {name}


def test_a_choice_can_be_repeated(asked: dict[str, Any]) -> None:
    assert run("--only", "vectors", "--only", "imports").exit_code == 0
    assert {"imports", "vectors"} <= asked.keys()


@pytest.mark.parametrize(("warm", "calls", "passed"), [(2.0, 3, True), (2.1, 1, False), (0.1, 4, False)])
def test_the_authorizer_has_limits(warm: float, calls: int, passed: bool) -> None:
    found = AuthorizerFigures(imported=1, first=1, warm=warm, warm_p99=1, miss=1, vault_calls=calls)
    assert found.passed is passed


@pytest.mark.parametrize(
    ("load", "query", "cold", "passed"),
    [(0.9, 0.98, 1.5, True), (0.89, 1.0, 0.3, False), (1.0, 0.97, 0.3, False), (1.0, 1.0, 1.6, False)],
)
def test_sealing_has_limits(load: float, query: float, cold: float, passed: bool) -> None:
    found = msgspec.structs.replace(
        SEALING,
        loads=[Pair(plain=1.0, sealed=ratio) for ratio in (0.1, load, 3.0)],
        queries=[Pair(plain=1.0, sealed=query)],
        colds=[Pair(plain=1.0, sealed=cold)],
    )
    assert found.passed is passed


def test_an_unknown_name_is_refused_with_those_that_exist(asked: dict[str, Any]) -> None:
    result = run("--only", "speed")
    assert result.exit_code == 2
    assert "imports" in result.output
    assert asked == {}


def test_json_is_one_document_and_nothing_else_on_standard_output() -> None:
    document = json.loads(run("--json").stdout)
    assert document.keys() == {"machine", "imports", "authorizer", "vectors", "http", "registry", "sealing"}
    assert document["imports"]["functions"][0]["milliseconds"] == 20.0
    compared = document["vectors"]
    assert (compared["rows"], compared["queries"], compared["dimension"], compared["k"]) == (45, 5, 8, 10)
    assert compared["store"]["recall"] == 1.0  # so few rows are compared one by one
    assert compared["ratio"] > 0


@pytest.mark.parametrize("given", ["option", "variable"])
def test_a_folder_is_used_where_one_is_named(given: str, tmp_path: Path, asked: dict[str, Any]) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    np.save(folder / "words.npy", np.eye(12, 4, dtype=np.float32) + 1)
    arguments, data = (["--data", str(folder)], None) if given == "option" else ([], str(folder))
    assert run("--only", "vectors", *arguments, data=data).exit_code == 0
    assert asked["vectors"] == f"{folder}: words.npy, 1 rows of it as queries"


def test_an_empty_variable_is_none(asked: dict[str, Any]) -> None:
    assert run("--only", "vectors", data="").exit_code == 0
    assert asked["vectors"].startswith("the repository's sample")


def test_a_folder_that_is_not_there_is_an_error_and_nothing_else_is_used_instead(tmp_path: Path) -> None:
    result = run("--only", "vectors", data=str(tmp_path / "gone"))
    assert result.exit_code == 1
    assert "BENCH_DATA: there is no folder" in result.stderr


def test_a_missing_bundle_is_one_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_report: object) -> ImportTimes:
        raise BundleMissingError("auth")

    monkeypatch.setattr(imports, "measure", missing)
    result = run("--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "run 'make bundle' first" in result.stderr


def test_threads_are_passed_on(asked: dict[str, Any]) -> None:
    assert run("--only", "vectors", "--threads", "3").exit_code == 0
    assert asked["threads"] == 3
    assert run("--threads", "0").exit_code == 2


def test_fewer_rows_and_a_picture_can_be_asked_for(tmp_path: Path, asked: dict[str, Any]) -> None:
    picture = tmp_path / "run.png"
    assert run("--only", "http", "--rows", "100", "--plot", str(picture)).exit_code == 0
    assert asked["http"]
    assert picture.read_bytes().startswith(b"\x89PNG")
