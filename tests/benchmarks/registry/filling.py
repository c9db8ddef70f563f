"""The same models and versions for both, past their servers: over HTTP it would take longer than all the rest."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from anfl.registry import keys
from anfl.registry.entities import Model, Stage, Version
from anfl.registry.records import item_of
from anfl.registry.table import Item
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.registry.servers import PYTHON, environment

VERSIONS = 3
TEAMS = ("vision", "speech", "text", "tables")
TENANT = "bench"
_MOMENT = 1_700_000_000_000


def fill_mlflow(database: Path, models: int) -> None:
    """Have MLflow's own code make its database, and write the same rows into it.

    :raises BenchmarkError: that fails.
    """
    script = Path(__file__).with_name("mlflow_rows.py")
    command = [
        str(PYTHON),
        str(script),
        f"sqlite:///{database}",
        str(models),
        str(VERSIONS),
        ",".join(TEAMS),
        str(_MOMENT),
    ]
    filled = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if filled.returncode:
        raise BenchmarkError(f"MLflow's database cannot be filled: {filled.stderr[-2000:]}")


def rows(models: int) -> Iterator[Item]:
    """Records as the registry writes them (without audit, which no search reads)."""
    for index in range(models):
        name, moment = f"model-{index:05}", _MOMENT + index
        model = Model(
            id=uuid.uuid5(uuid.NAMESPACE_URL, name).hex,
            name=name,
            created_at=moment,
            updated_at=moment,
            tags={"team": TEAMS[index % len(TEAMS)]},
            latest={Stage.NONE: VERSIONS},
            last_version=VERSIONS,
            revision=1,
        )
        yield keys.model(TENANT, name) | item_of(model)
        for number in range(1, VERSIONS + 1):
            run = f"run-{index:05}-{number}"
            version = Version(
                model_id=model.id,
                number=number,
                created_at=moment + number,
                updated_at=moment + number,
                source=f"s3://bucket/{name}/{number}",
                location=f"s3://bucket/{name}/{number}",
                run_id=run,
                tags={"quality": str(number)},
                revision=1,
            )
            yield keys.version(TENANT, model.id, number) | item_of(version)
            yield keys.made(TENANT, run, model.id, number) | {"name": name}
