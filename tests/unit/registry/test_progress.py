"""What progress bars of models say."""

from rich.console import Console
from rich.progress import Progress

from anfl.cli.models import _Speed


def test_the_speed_of_what_came_at_once_is_that_of_all_of_it() -> None:
    moment = iter((0.0, 0.0, 2.0, 2.0, 3.0))
    progress = Progress(console=Console(quiet=True), get_time=lambda: next(moment, 3.0))
    task = progress.add_task("upload", total=6_000_005)
    for part in (6_000_000, 5):
        progress.advance(task, part)
    shown = _Speed().render(progress.tasks[0]).plain
    assert shown.endswith("MB/s"), shown
