"""Changed pickles of NumPy's that are let pass: none makes NumPy read or write where it must not (`tests.fuzz`)."""

from pathlib import Path

from tests.fuzz.mutants import Mutator, pieces_of
from tests.fuzz.pickles import accepted, deadly, of_numpy

MUTANTS = 1_500
SEED = 20_261_128


def test_what_is_let_pass_ends_no_process(tmp_path: Path) -> None:
    let_pass = accepted(Mutator(of_numpy(), seed=SEED), tmp_path, mutants=MUTANTS)
    assert let_pass > MUTANTS / 10, "nearly all are refused, which shows nothing"
    assert not [(tmp_path / name).read_bytes() for name in deadly(tmp_path)]


def test_a_process_that_a_pickle_ends_is_noticed_and_its_neighbours_are_not_blamed(tmp_path: Path) -> None:
    without_unit = b"cnumpy\ndtype\n(S'M8[s]'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb."
    for number in range(9):
        (tmp_path / f"{number}.pkl").write_bytes(without_unit if number == 5 else b"N.")
    assert deadly(tmp_path) == ["5.pkl"]


def test_mutants_are_pickles_of_the_same_opcodes_mostly_and_the_same_for_the_same_seed() -> None:
    one, other = (Mutator(of_numpy(), seed=7) for _ in range(2))
    assert [one.next() for _ in range(50)] == [other.next() for _ in range(50)]
    assert all(b"".join(piece.content for piece in pieces_of(each))[-1:] == b"." for each in of_numpy())
