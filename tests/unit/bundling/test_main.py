"""What ``make bundle`` says when it cannot go on."""

import pytest

from bundling import __main__ as command
from bundling.errors import BundlingError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BundlingError("no compiler"), 1, "no compiler"),
        (PermissionError(13, "Permission denied", "build"), 1, "Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_end_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    def fail(_bundle: object) -> bool:
        raise error

    monkeypatch.setattr(command, "build", fail)

    assert command.main() == code
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("vector-processing: ")
    assert said in last
