"""What is sealed opens as it was, where it was, and not at all otherwise."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.crypto import sealed
from anfl.crypto.trouble import TamperedError

KEY = bytes(range(32))
FRAME = 64
NAME = "00000001/2026-11-26"
PLACE = "demo/words/0123/log/00000001/00000000000000000007"
Seal = Callable[..., bytes]
Unseal = Callable[..., bytes]


def framed(data: bytes, *, place: str = PLACE, key: bytes = KEY) -> bytes:
    return b"".join(bytes(piece) for piece in sealed.unseal_framed(data, key_of=lambda _: key, place=place))


def whole(data: bytes, *, place: str = PLACE, key: bytes = KEY) -> bytes:
    return sealed.unseal(data, key_of=lambda _: key, place=place)


def seal_whole(body: bytes, *, place: str = PLACE, identity: str = "batch") -> bytes:
    return bytes(sealed.seal(body, key=KEY, key_name=NAME, place=place, identity=identity))


def seal_framed(body: bytes, *, place: str = PLACE, identity: str = "batch") -> bytes:
    return bytes(sealed.seal_framed(body, key=KEY, key_name=NAME, place=place, identity=identity))


WAYS = [pytest.param(seal_whole, whole, id="whole"), pytest.param(seal_framed, framed, id="framed")]


@pytest.fixture(autouse=True)
def _small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "FRAME_BYTES", FRAME)


@pytest.mark.parametrize(("seal", "unseal"), WAYS)
@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 1000])
def test_what_was_sealed_opens_as_it_was(seal: Seal, unseal: Unseal, size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    assert unseal(seal(body)) == body


@given(body=st.binary(max_size=400), data=st.data())
@pytest.mark.parametrize(("seal", "unseal"), WAYS)
def test_one_byte_that_is_changed_anywhere_is_noticed(
    seal: Seal, unseal: Unseal, body: bytes, data: st.DataObject
) -> None:
    made = bytearray(seal(body))
    made[data.draw(st.integers(0, len(made) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TamperedError):
        unseal(bytes(made))


@given(body=st.binary(max_size=400), data=st.data())
@pytest.mark.parametrize(("seal", "unseal"), WAYS)
def test_what_is_cut_off_or_added_is_noticed(seal: Seal, unseal: Unseal, body: bytes, data: st.DataObject) -> None:
    made = seal(body)
    with pytest.raises(TamperedError):
        unseal(made[: data.draw(st.integers(0, len(made) - 1))])
    with pytest.raises(TamperedError):
        unseal(made + data.draw(st.binary(min_size=1, max_size=FRAME)))


@pytest.mark.parametrize(("seal", "unseal"), WAYS)
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(PLACE[:-1] + "8", id="slot"),
        pytest.param(PLACE.replace("00000001/", "00000002/"), id="epoch"),
        pytest.param(PLACE.replace("0123", "4567"), id="incarnation"),
        pytest.param(PLACE.replace("words", "names"), id="collection"),
        pytest.param(PLACE.replace("demo", "acme"), id="tenant"),
        pytest.param(PLACE.replace("log", "snapshots"), id="object"),
        pytest.param("", id="nowhere"),
    ],
)
def test_nothing_opens_at_another_place(seal: Seal, unseal: Unseal, place: str) -> None:
    with pytest.raises(TamperedError):
        unseal(seal(b"body"), place=place)


@pytest.mark.parametrize(("seal", "unseal"), WAYS)
def test_nothing_opens_by_another_key(seal: Seal, unseal: Unseal) -> None:
    with pytest.raises(TamperedError):
        unseal(seal(b"body"), key=bytes(32))


@pytest.mark.parametrize(("seal", "unseal"), WAYS)
def test_the_header_belongs_to_what_is_sealed(seal: Seal, unseal: Unseal) -> None:
    made = seal(b"body", identity="batch")
    for before, after in ((b"batch", b"other"), (b"2026-11-26", b"2026-11-27"), (b"ANFL\x02", b"ANFL\x03")):
        assert made.count(before) == 1
        with pytest.raises(TamperedError):
            unseal(made.replace(before, after))


def test_one_kind_is_not_taken_for_the_other() -> None:
    with pytest.raises(TamperedError):
        whole(seal_framed(b"body"))
    with pytest.raises(TamperedError):
        framed(seal_whole(b"body"))


@pytest.mark.parametrize("data", [b"", b"ANFL", b"ANFL\x02", b"ANFL\x02\x01\xff", b"ANFL\x01" + bytes(100)])
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    for unseal in (whole, framed):
        with pytest.raises(TamperedError):
            unseal(data)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda frames: frames[:-1], id="the last one is cut off"),
        pytest.param(lambda frames: frames[1:], id="the first one is left out"),
        pytest.param(lambda frames: [frames[0], *frames[2:]], id="one is left out"),
        pytest.param(lambda frames: [frames[1], frames[0], *frames[2:]], id="two change places"),
        pytest.param(lambda frames: [frames[0], frames[0], *frames[1:]], id="one comes twice"),
        pytest.param(lambda frames: [*frames, frames[-1]], id="the last one comes twice"),
        pytest.param(lambda frames: frames[-1:], id="the last one is all"),
    ],
)
def test_frames_come_all_and_in_order(change: Callable[[list[bytes]], list[bytes]]) -> None:
    body = bytes(4 * FRAME)
    made = seal_framed(body)
    size = FRAME + 16
    start = len(made) - 4 * size
    frames = [made[start + number * size : start + (number + 1) * size] for number in range(4)]
    assert framed(made[:start] + b"".join(frames)) == body
    with pytest.raises(TamperedError):
        framed(made[:start] + b"".join(change(frames)))


def test_frames_of_two_bodies_do_not_mix() -> None:
    one, other = seal_framed(bytes(2 * FRAME)), seal_framed(bytes(2 * FRAME))
    size = FRAME + 16
    with pytest.raises(TamperedError):
        framed(one[:-size] + other[-size:])


def test_no_two_objects_share_a_nonce_or_a_salt() -> None:
    for seal in (seal_whole, seal_framed):
        assert len({seal(b"body") for _ in range(200)}) == 200


def test_a_body_is_opened_in_one_frame_of_memory() -> None:
    made = seal_framed(bytes(5 * FRAME + 3))
    pieces = list(sealed.unseal_framed(made, key_of=lambda _: KEY, place=PLACE))
    assert len({id(piece.obj) for piece in pieces}) == 1
    assert memoryview(pieces[0].obj).nbytes == FRAME


def test_no_plaintext_is_left() -> None:
    body = b"a sentence that would be recognised" * 5
    for seal in (seal_whole, seal_framed):
        assert b"sentence" not in seal(body)
