"""An import from its first call to its last row, and what is wrong with files, each named."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np
import pytest

from anfl.decoding import convert
from anfl.problems import Problem
from anfl.vectors.imports import cutting, files
from anfl.vectors.imports import spans as spans_module
from anfl.vectors.imports.model import Chunk, Format, RowError, State
from anfl.vectors.imports.records import key_of
from anfl.vectors.imports.requests import ImportId, ImportPage, NewFile, NewImport
from anfl.vectors.requests import Count, Fetch
from tests.unit.vectors.importing import MOST, Place, npy_of, row, text_of
from tests.unit.vectors.test_store import WORDS, code_of

NAMES = ["a", "b", "c", "d", "e"]
BESIDE = text_of(*({"id": name, "metadata": {"n": n}} for n, name in enumerate(NAMES)))
ARRAY = np.array([[n, 1] for n in range(5)], np.float32)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Chunks of two rows, parts of 40 bytes, a collection."""
    monkeypatch.setattr(cutting, "CHUNK_ROWS", 2)
    monkeypatch.setattr(files, "PART_BYTES", 40)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    place.store.create("demo", WORDS)


def values_in(place: Place) -> dict[str, Any]:
    found = place.store.fetch("demo", "words", Fetch(ids=NAMES, consistency="strong")).vectors
    return {each.id: each.values for each in found}


def noted(place: Place, import_id: str) -> dict[str, Any]:
    """What stands in the catalogue."""
    item: dict[str, Any] = place.records.table.get_item(Key=key_of("demo", import_id))["Item"]
    return item


NO_ARRAY = ("files[0]", None, "no .npy array")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
@pytest.mark.parametrize("first", ["npy", "jsonl"])
def test_lines_with_an_array_beside_them(place: Place, dtype: str, first: str) -> None:
    given = {"npy": npy_of(ARRAY.astype(dtype)), "jsonl": BESIDE}
    import_id = place.started(**{name: given[name] for name in sorted(given, key=lambda name: name != first)})
    place.work()
    shown = place.show(import_id)
    assert (shown.state, shown.rows, shown.stored, shown.refused, shown.chunks) == (State.DONE, 5, 5, 0, 3)
    assert values_in(place) == {name: [n, 1] for n, name in enumerate(NAMES)}
    assert place.kept() == [], "files that nobody needs any more"


def test_lines_with_values_and_what_is_wrong_with_some(place: Place) -> None:
    wrong = (row("x", values=[1]), b"{\n", {"id": "y"}, row("z", colour=1), row("", values=[1, 2]))
    import_id = place.started(jsonl=text_of(row("a"), b"\n", *wrong, row("b")))
    place.work()
    shown = place.show(import_id)
    assert (shown.state, shown.rows, shown.stored, shown.refused) == (State.DONE, 7, 2, 5)
    assert [(error.row, error.field) for error in shown.errors] == [
        (1, "values"),
        (2, None),
        (3, "values"),
        (4, "colour"),
        (5, "id"),
    ]
    [listed] = place.imports.page("demo", ImportPage()).imports
    assert (listed.refused, listed.errors) == (5, [])


def test_a_row_whose_values_stand_in_line_and_array(place: Place) -> None:
    import_id = place.started(npy=npy_of(ARRAY[:2]), jsonl=text_of(row("a"), {"id": "b"}))
    place.work()
    shown = place.show(import_id)
    assert (shown.stored, shown.errors) == (
        1,
        [RowError(row=0, detail="The values of this import stand in the array.", field="values")],
    )


def test_an_array_of_numbers_that_are_none(place: Place) -> None:
    array = np.array([[np.nan, 1], [1, 1], [1e300, 1]])
    import_id = place.started(npy=npy_of(array), jsonl=text_of(*({"id": name} for name in "abc")))
    place.work()
    shown = place.show(import_id)
    assert (shown.stored, [(error.row, error.field) for error in shown.errors]) == (1, [(0, "values"), (2, "values")])


def test_files_without_a_row(place: Place) -> None:
    for given in ({"jsonl": b"\n \n"}, {"npy": npy_of(ARRAY[:0]), "jsonl": b"\n"}):
        import_id = place.started(**given)
        place.work()
        assert (place.show(import_id).state, place.show(import_id).rows, place.kept()) == (State.DONE, 0, [])


@pytest.mark.parametrize(
    ("given", "code", "field", "at", "says"),
    [
        ({"npy": npy_of(ARRAY.astype(np.int64)), "jsonl": BESIDE}, "invalid_request", "files[0].dtype", None, "int64"),
        ({"npy": npy_of(ARRAY.astype(complex)), "jsonl": BESIDE}, "invalid_request", "files[0].dtype", None, "complex"),
        ({"jsonl": BESIDE, "npy": npy_of(ARRAY[:, :1])}, "invalid_request", "files[1].shape", None, r"\(5, 1\)"),
        ({"npy": npy_of(ARRAY.ravel()), "jsonl": BESIDE}, "invalid_request", "files[0].shape", None, r"\(10,\)"),
        (
            {"npy": npy_of(np.asfortranarray(ARRAY)), "jsonl": BESIDE},
            "invalid_request",
            "files[0].shape",
            None,
            "column by column",
        ),
        ({"npy": npy_of(ARRAY)[:-1], "jsonl": BESIDE}, "invalid_request", "files[0].bytes", None, "truncated"),
        ({"npy": npy_of(ARRAY) + b"x", "jsonl": BESIDE}, "invalid_request", "files[0].bytes", None, "longer"),
        ({"npy": npy_of(ARRAY)[:20], "jsonl": BESIDE}, "invalid_request", "files[0]", None, "no .npy array"),
        ({"npy": b"PK\x03\x04", "jsonl": BESIDE}, "invalid_request", "files[0]", None, "no .npy array"),
        *(
            ({"npy": npy_of(ARRAY).replace(b"'descr'", wrong), "jsonl": BESIDE}, "invalid_request", *NO_ARRAY)
            for wrong in (b"'descr", b"'des\0r'", b"[]     ", b"((((((", b"descr\n\x01")
        ),
        ({"npy": npy_of(ARRAY).replace(b"'<f4'", b"()   "), "jsonl": BESIDE}, "invalid_request", *NO_ARRAY),
        ({"npy": npy_of(np.array([{}, {}])), "jsonl": BESIDE}, "invalid_request", "files[0].dtype", None, "object"),
        ({"npy": npy_of(ARRAY[:3]), "jsonl": BESIDE}, "invalid_request", "files[0]", 3, "3 rows, and there are 5"),
        ({"npy": npy_of(ARRAY), "jsonl": text_of({"id": "a"})}, "invalid_request", "files[1]", 1, "5 rows, and there"),
        ({"jsonl": text_of(row("a"), row("b" * 200), row("c"))}, "too_large", "files[0]", 1, "more than 150 bytes"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_and_nothing_is_stored(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, bytes],
    code: str,
    field: str,
    at: int | None,
    says: str,
) -> None:
    monkeypatch.setattr(spans_module, "MAX_LINE_BYTES", 150)
    import_id = place.started(**given)
    place.work()
    shown = place.show(import_id)
    assert shown.state is State.FAILED
    assert shown.failure is not None
    assert (shown.failure.code, shown.failure.field, shown.failure.row) == (code, field, at), shown.failure
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(shown.failure.detail)
    assert place.store.count("demo", "words", Count(consistency="strong")).count == 0


@pytest.mark.parametrize(
    "formats",
    [["npy"], ["npy", "npy"], ["jsonl", "jsonl"], ["parquet", "jsonl"], ["parquet", "npy"]],
)
def test_files_that_make_no_import(place: Place, formats: list[str]) -> None:
    request = NewImport(files=[NewFile(format=Format(each), bytes=1) for each in formats])
    with pytest.raises(Problem) as caught:
        place.imports.create("demo", "words", request)
    assert (caught.value.status, caught.value.field) == (400, "files")


def test_an_import_into_an_alias_goes_where_it_pointed(place: Place) -> None:
    place.store.set_alias("demo", "live", "words")
    uploads = place.imports.create("demo", "live", NewImport(files=[NewFile(format=Format.JSONL, bytes=9)]))
    assert uploads.collection == "words"
    request = NewImport(files=[NewFile(format=Format.JSONL, bytes=9)])
    assert code_of(lambda: place.imports.create("demo", "absent", request)) == (404, "collection_not_found")


def test_an_upload_goes_on_where_it_was_interrupted(place: Place) -> None:
    text = text_of(*map(row, NAMES))
    uploads = place.begin(jsonl=text)
    [file] = uploads.files
    assert sum(part.bytes for part in file.missing) == len(text)
    assert len(file.missing) > 2
    half = [part for part in file.missing if part.number != 2]
    place.upload(type(uploads)(**_as(uploads, files=[type(file)(**_as(file, missing=half))])), jsonl=text)
    refused = _problem(lambda: place.imports.start("demo", uploads.id))
    assert (refused.code, refused.field) == ("upload_incomplete", "files[0]")
    assert place.show(uploads.id).state is State.UPLOADING
    again = place.imports.uploads("demo", uploads.id)
    assert [part.number for part in again.files[0].missing] == [2]
    place.upload(again, jsonl=text)
    for _ in range(2):
        assert place.imports.start("demo", uploads.id).state is State.RUNNING
    assert [part for file in place.imports.uploads("demo", uploads.id).files for part in file.missing] == []
    place.work()
    assert place.show(uploads.id).stored == 5
    assert code_of(lambda: place.imports.start("demo", uploads.id)) == (409, "import_ended")
    assert code_of(lambda: place.imports.uploads("demo", uploads.id)) == (409, "import_ended")


def _as(struct: Any, **changed: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__} | changed


def _problem(call: Callable[[], Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value


def test_a_part_of_another_length_counts_as_missing(place: Place) -> None:
    text = text_of(*map(row, NAMES))
    uploads = place.begin(jsonl=text)
    place.upload(uploads, jsonl=text[:-1])
    [part] = place.imports.uploads("demo", uploads.id).files[0].missing
    assert part.offset + part.bytes == len(text)


def test_nothing_more_is_stored_of_what_is_cancelled(place: Place) -> None:
    import_id = place.started(jsonl=text_of(*map(row, NAMES)))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    chunk = place.function.take()
    assert chunk is not None
    place.carry_out(chunk)
    assert place.imports.cancel("demo", import_id).state is State.CANCELLED
    place.carry_out(cut)
    place.work()
    shown = place.imports.cancel("demo", import_id)
    assert (shown.state, shown.stored, sorted(values_in(place)), place.kept()) == (State.CANCELLED, 2, ["a", "b"], [])
    for call in (place.imports.start, place.imports.redrive):
        assert code_of(lambda call=call: call("demo", import_id)) == (409, "import_ended")  # type: ignore[misc]


def test_what_is_cancelled_elsewhere_stays_so_whatever_its_home_notes_at_that_moment(place: Place) -> None:
    import_id = place.started(jsonl=text_of(*map(row, NAMES)))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    home = place.imports.catalogue.region
    before = noted(place, import_id)
    place.imports.catalogue.region = "eu-west-1"
    assert place.imports.cancel("demo", import_id).state is State.CANCELLED
    place.imports.catalogue.region = home
    place.records.table.put_item(Item=before | {"chunks_done": 1})  # the later of two regions' writes stays, as a whole
    assert place.show(import_id).state is State.CANCELLED
    assert [each.state for each in place.imports.page("demo", ImportPage()).imports] == [State.CANCELLED]
    place.work()
    assert values_in(place) == {}


def test_that_an_import_was_cut_short_is_noted_at_its_home_and_shown_everywhere(place: Place) -> None:
    import_id = place.started(jsonl=text_of(*map(row, NAMES)))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    place.chunks.last_attempt(cut, until=place.time.seconds - 1)
    before = noted(place, import_id)
    home = place.imports.catalogue.region
    place.imports.catalogue.region = "eu-west-1"
    shown = place.show(import_id)
    assert (shown.state, noted(place, import_id)) == (State.FAILED, before)
    place.imports.catalogue.region = home
    assert place.show(import_id) == shown
    assert noted(place, import_id) != before


def test_an_upload_that_is_cancelled_leaves_nothing(place: Place) -> None:
    text = text_of(*map(row, NAMES))
    uploads = place.begin(jsonl=text)
    place.upload(uploads, jsonl=text)
    place.imports.cancel("demo", uploads.id)
    assert place.client.list_multipart_uploads(Bucket="vectors").get("Uploads", []) == []


def test_what_is_done_cannot_be_cancelled(place: Place) -> None:
    import_id = place.started(jsonl=text_of(row("a")))
    place.work()
    assert code_of(lambda: place.imports.cancel("demo", import_id)) == (409, "import_ended")


def test_another_collection_of_the_same_name_gets_nothing(place: Place) -> None:
    first, second = (place.started(jsonl=text_of(row("a"))) for _ in range(2))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    place.store.delete("demo", "words")
    place.work()
    place.store.create("demo", WORDS)
    third = place.started(jsonl=text_of(row("b")))
    place.store.delete("demo", "words")
    place.store.create("demo", WORDS)
    place.work()
    failures = [place.show(each).failure for each in (first, second, third)]
    assert [failure.code for failure in failures if failure] == [
        "collection_not_found",
        "collection_not_found",
        "collection_changed",
    ]
    assert values_in(place) == {}


@pytest.mark.parametrize("member", ["collection", "incarnation", "number", "format"])
def test_a_chunk_that_its_import_does_not_have_stores_nothing(place: Place, member: str) -> None:
    """Whoever may send messages brings rows into no other collection, and counts nothing as done."""
    import_id = place.started(jsonl=text_of(row("a")))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    chunk = place.function.take()
    assert isinstance(chunk, Chunk)
    other = place.store.create("demo", msgspec.structs.replace(WORDS, name="others"))[0]
    forged: dict[str, Any] = {
        "collection": {"collection": "others", "incarnation": other.incarnation},
        "incarnation": {"incarnation": other.incarnation},
        "number": {"number": 1},
        "format": {"format": Format.PARQUET},
    }
    for number in (1, MOST):
        place.carry_out(msgspec.structs.replace(chunk, **forged[member]), number)
    assert values_in(place) == {}
    assert place.store.count("demo", "others", Count()).count == 0
    assert (place.show(import_id).state, place.show(import_id).chunks_done) == (State.RUNNING, 0)
    place.carry_out(chunk)
    assert (place.show(import_id).state, set(values_in(place))) == (State.DONE, {"a"})


@pytest.mark.parametrize("function_bytes", [10])
def test_chunks_of_large_collections_are_left_to_the_service(place: Place) -> None:
    import_id = place.started(jsonl=text_of(*map(row, NAMES)))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    assert (len(place.service.bodies), len(place.function.bodies)) == (3, 0)
    place.work()
    assert place.show(import_id).stored == 5


def test_others_imports_are_not_seen(place: Place) -> None:
    import_id = place.started(jsonl=text_of(row("a")))
    for call in (place.imports.show, place.imports.start, place.imports.cancel, place.imports.redrive):
        assert code_of(lambda call=call: call("other", import_id)) == (404, "import_not_found")  # type: ignore[misc]
    assert place.imports.page("other", ImportPage()).imports == []


def test_an_address_takes_exactly_the_bytes_of_its_part(place: Place) -> None:
    """Whoever has it could put gigabytes there otherwise."""
    uploads = place.begin(jsonl=text_of(row(*NAMES[:1]), row(*NAMES[1:2])))
    for part in uploads.files[0].missing:
        assert "content-length" in parse_qs(urlsplit(part.url).query)["X-Amz-SignedHeaders"][0].split(";")


@pytest.mark.parametrize(
    "wrong", ["", "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n", "0" * 32 + "/1", "../" + "0" * 32]
)
def test_what_is_no_id_of_an_import_is_none(wrong: str) -> None:
    """It stands in keys of tables and buckets."""
    with pytest.raises(Problem, match="32 hexadecimal digits"):
        convert({"id": wrong}, ImportId)
