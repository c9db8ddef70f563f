"""``python mlflow_rows.py DATABASE MODELS VERSIONS TEAMS MOMENT``, in the environment of MLflow's server."""

import sys

import sqlalchemy
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelTag,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore


def main(database: str, models: int, versions: int, teams: list[str], moment: int) -> None:
    """Make the tables, and fill those of the registry."""
    TrackingStore(database, "artifacts")
    SqlAlchemyStore(database)
    engine = sqlalchemy.create_engine(database)
    rows = [(f"model-{index:05}", moment + index, teams[index % len(teams)]) for index in range(models)]
    numbered = [(name, at, number) for name, at, _ in rows for number in range(1, versions + 1)]
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.insert(SqlRegisteredModel.__table__),
            [{"name": name, "creation_time": at, "last_updated_time": at} for name, at, _ in rows],
        )
        connection.execute(
            sqlalchemy.insert(SqlRegisteredModelTag.__table__),
            [{"name": name, "key": "team", "value": team} for name, _, team in rows],
        )
        connection.execute(
            sqlalchemy.insert(SqlModelVersion.__table__),
            [
                {
                    "name": name,
                    "version": number,
                    "creation_time": at + number,
                    "last_updated_time": at + number,
                    "current_stage": "None",
                    "source": f"s3://bucket/{name}/{number}",
                    "storage_location": f"s3://bucket/{name}/{number}",
                    "run_id": f"run-{name[6:]}-{number}",
                    "status": "READY",
                }
                for name, at, number in numbered
            ],
        )
        connection.execute(
            sqlalchemy.insert(SqlModelVersionTag.__table__),
            [{"name": name, "version": number, "key": "quality", "value": str(number)} for name, _, number in numbered],
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split(","), int(sys.argv[5]))
