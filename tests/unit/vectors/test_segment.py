"""Segments that are damaged say so, and what they are made of does not depend on where."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from anfl.vectors.engine import archive
from anfl.vectors.engine.archive import DamagedFileError
from anfl.vectors.engine.compaction import compact
from anfl.vectors.engine.folders import MANIFEST, Draft
from anfl.vectors.engine.images import Image, rest_of
from anfl.vectors.engine.rows import RowStore
from anfl.vectors.engine.segment import COLUMNS, GRAPH, ROWS, Manifest, Segment
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import IndexSettings, Metric


def image(folder: Path) -> Image:
    rows = RowStore(dimension=8, metric=Metric.COSINE, index=IndexSettings())
    with rows.batch(1) as batch:
        values = np.random.default_rng(1).normal(size=(1_200, 8)).astype(np.float32)
        batch.upsert([f"é{n}" for n in range(1_200)], values, [{"n": n} for n in range(1_200)], [None] * 1_200)
    return compact(rows.image(), folder, threads=1)


def test_the_same_rows_make_the_same_segment(tmp_path: Path) -> None:
    first, second = image(tmp_path / "one"), image(tmp_path / "two")
    assert [path.name for path in first.segments] == [path.name for path in second.segments]
    assert image(tmp_path / "one") == first  # and once more into the same place
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first.segments[0].name]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("file", [ROWS, COLUMNS, GRAPH, MANIFEST])
@pytest.mark.parametrize("damage", [cut, empty, flip, remove])
def test_a_damaged_file_is_named(file: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    segment = image(tmp_path).segments[0]
    damage(segment / file)
    if (file, damage) == (MANIFEST, remove):
        with pytest.raises(FileNotFoundError):
            Segment(segment, verify=True)
        return
    with pytest.raises(DamagedFileError, match=file):
        Segment(segment, verify=True)


@pytest.mark.parametrize("file", [ROWS, COLUMNS, GRAPH])
def test_a_file_of_the_right_size_that_is_another_is_refused_without_reading_it_all(file: str, tmp_path: Path) -> None:
    segment = image(tmp_path).segments[0]
    (segment / file).write_bytes(bytes((segment / file).stat().st_size))
    with pytest.raises(DamagedFileError, match=file):
        _ = Segment(segment).columns


def test_an_open_segment_can_be_read_when_its_folder_is_gone(tmp_path: Path) -> None:
    """Found by killing processes: the node's builder had removed it, and a filter asked for metadata afterwards."""
    opened = Segment(image(tmp_path).segments[0])
    shutil.rmtree(opened.folder)
    assert opened.columns.select(compile_filter({"n": {"$lt": 3}}).root).tolist()[0] == 0b111
    assert opened.metadata(5) == {"n": 5}


def test_a_folder_of_another_name_is_another_segment(tmp_path: Path) -> None:
    segment = image(tmp_path).segments[0]
    with pytest.raises(DamagedFileError, match=MANIFEST):
        Segment(segment.rename(tmp_path / ("0" * 32)))


@pytest.mark.parametrize("rest", [b"", b"\xc1", b"\x80"])
def test_a_damaged_rest_is_refused(rest: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rest of an image"):
        RowStore.from_image(Image(image(tmp_path).segments, rest))


def test_an_image_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    whole = image(tmp_path)
    with pytest.raises(ValueError, match="fit"):
        RowStore.from_image(Image((), whole.rest))


def forged(folder: Path, name: str, change: Callable[[archive.Array], archive.Array]) -> Path:
    """A segment whose digests are right and one of whose arrays is not."""
    segment = image(folder / "good").segments[0]
    arrays = archive.read(segment / ROWS)[0]
    draft = Draft(folder / "forged")
    draft.write(ROWS, {each: [change(array) if each == name else array] for each, array in arrays.items()})
    shutil.copy(segment / COLUMNS, draft.folder)
    return draft.finish(partial(Manifest, rows=1_200, dimension=8, metric=Metric.COSINE))


FORGERIES: dict[str, tuple[str, Callable[[archive.Array], archive.Array]]] = {
    "values of another type": ("values", lambda array: array.astype(np.float16)),
    "fewer codes": ("codes", lambda array: array[:-1]),
    "codes of fewer dimensions": ("codes", lambda array: array[:, :-1]),
    "fewer sketches": ("sketches", lambda array: array[:-1]),
    "sketches of another type": ("sketches", lambda array: array.astype(np.float16)),
    "an order beyond the rows": ("order", lambda array: array + np.uint32(1)),
    "an order of another type": ("order", lambda array: array.astype(np.uint16)),
    "ids beyond the text": ("ids.ends", lambda array: array * np.uint64(2)),
    "ids that end before they begin": ("ids.ends", lambda array: array[::-1]),
    "fewer ids": ("ids.ends", lambda array: array[:-1]),
    "fewer metadata": ("metadata.ends", lambda array: array[:-1]),
    "fewer versions": ("versions", lambda array: array[:-1]),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_arrays_that_do_not_fit_together_are_damage_before_anybody_follows_them(forgery: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match=ROWS):
        Segment(forged(tmp_path, *FORGERIES[forgery]), verify=True)


def test_arrays_that_fit_together_are_no_damage(tmp_path: Path) -> None:
    assert Segment(forged(tmp_path, "values", lambda array: array), verify=True).size == 1_200


WORDS = 1_200 // 64 + 1
ROW: dict[str, Any] = {"ids": ["x"], "values": bytes(32), "metadata": [{}], "expires_at": [None], "versions": [1]}
MISFITS: dict[str, dict[str, Any]] = {
    "a set of fewer rows": {"alive": [bytes(8 * (WORDS - 1))]},
    "a set of more rows": {"alive": [bytes(8 * (WORDS + 1))]},
    "a row beyond the last": {"alive": [bytes(8 * WORDS - 1) + b"\x80"]},
    "no set": {"alive": []},
    "a format of later": {"format": 2},
    "fewer values": ROW | {"values": bytes(28)},
    **{f"no {name}": ROW | {name: []} for name in ("metadata", "expires_at", "versions")},
}


def test_a_rest_that_fits_its_segments_is_read(tmp_path: Path) -> None:
    good = image(tmp_path)
    rest = msgspec.structs.replace(rest_of(good), **ROW)
    assert len(RowStore.from_image(Image(good.segments, rest.encode()))) == 1_201


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_rest_that_does_not_fit_its_segments_is_damage(misfit: str, tmp_path: Path) -> None:
    good = image(tmp_path)
    rest = msgspec.structs.replace(rest_of(good), **MISFITS[misfit])
    with pytest.raises(ValueError, match=r"image|set of segment"):
        RowStore.from_image(Image(good.segments, rest.encode()))
