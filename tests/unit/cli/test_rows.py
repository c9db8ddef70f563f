"""Reading rows to upsert."""

import json
from pathlib import Path

import numpy as np
import pytest

from anfl.cli import rows
from anfl.cli.errors import CliError


def written(path: Path, lines: int) -> Path:
    path.write_text("\n\n".join(json.dumps({"id": str(i), "values": [0.5]}) for i in range(lines)) + "\n")
    return path


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "rows", 7)
    assert [row["id"] for row in rows.rows(path, None)] == [str(i) for i in range(7)]
    assert rows.count(path) == 7


def test_values_come_from_the_array(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.arange(6, dtype="f8").reshape(3, 2))
    array = rows.load_array(tmp_path / "values.npy", dimensions=2)
    assert list(rows.rows(written(tmp_path / "rows", 3), array))[1]["values"] == {"f32": "AAAAQAAAQEA="}


def test_an_array_of_another_shape_or_type_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "whole.npy", np.zeros((3, 2), dtype=int))
    np.savez(tmp_path / "several.npz", a=np.zeros((3, 2)))
    for name in ("flat.npy", "whole.npy", "several.npz"):
        with pytest.raises(CliError, match="floats"):
            rows.load_array(tmp_path / name, dimensions=2)


@pytest.mark.parametrize(("key", "wrong"), [(b"'<f8'", b"()   "), (b"'descr'", b"(((((((")])
def test_a_header_that_is_none_is_told_like_any_other_file(tmp_path: Path, key: bytes, wrong: bytes) -> None:
    np.save(tmp_path / "values.npy", np.zeros((3, 2)))
    (tmp_path / "values.npy").write_bytes((tmp_path / "values.npy").read_bytes().replace(key, wrong))
    with pytest.raises(CliError, match=r"not a \.npy array"):
        rows.load_array(tmp_path / "values.npy")
