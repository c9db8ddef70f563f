"""Reading rows to upsert."""

import json
from pathlib import Path

import numpy as np
import pytest

from anfl.cli import rows
from anfl.cli.errors import CliError


def written(path: Path, lines: int, width: int = 1) -> Path:
    path.write_text("\n\n".join(json.dumps({"id": str(i), "values": [0.5] * width}) for i in range(lines)) + "\n")
    return path


def test_batches_hold_all_rows_in_order(tmp_path: Path) -> None:
    path = written(tmp_path / "rows", 7)
    blocks = list(rows.batches(path, None, 3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    assert [row["id"] for block in blocks for row in block] == [str(i) for i in range(7)]
    assert rows.count(path) == 7


def test_a_batch_fits_into_one_request_of_the_gateway(tmp_path: Path) -> None:
    """500 vectors of 4,096 numbers each as text are more than API Gateway takes."""
    path = written(tmp_path / "rows", 500, width=4096)
    blocks = list(rows.batches(path, None, 500))
    assert sum(map(len, blocks)) == 500
    assert max(len(json.dumps({"vectors": block})) for block in blocks) <= 10_000_000


def test_values_come_from_the_array(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.arange(6, dtype="f8").reshape(3, 2))
    array = rows.load_array(tmp_path / "values.npy", dimensions=2)
    [block] = rows.batches(written(tmp_path / "rows", 3), array, 10)
    assert block[1]["values"] == {"f32": "AAAAQAAAQEA="}


def test_an_array_of_another_shape_or_type_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "whole.npy", np.zeros((3, 2), dtype=int))
    np.savez(tmp_path / "several.npz", a=np.zeros((3, 2)))
    for name in ("flat.npy", "whole.npy", "several.npz"):
        with pytest.raises(CliError, match="floats"):
            rows.load_array(tmp_path / name, dimensions=2)
