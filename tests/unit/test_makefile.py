"""Which of a user's settings reach what ``make`` runs."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ON_AN_ACCOUNT = ("deploy", "destroy", "remove-region", "cleanup-failed", "images")
OUTSIDE = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
"""Of somebody who types the command, though ``make`` runs these tests."""
PROBE = f"probe {' '.join(ON_AN_ACCOUNT)}: ; @env\n"


def variables(folder: Path, goal: str, **given: str) -> dict[str, str]:
    """The environment of a recipe when ``make goal`` is typed."""
    makefile = (REPOSITORY / "Makefile").read_text()
    head = makefile[: makefile.index(".PHONY")]
    (folder / "Makefile").write_text(f"{head}\n{PROBE}")
    (folder / ".python-version").write_text("3.13")
    done = subprocess.run(["make", goal], cwd=folder, env=OUTSIDE | given, capture_output=True, text=True, check=True)
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("goal", ON_AN_ACCOUNT)
def test_the_chosen_profile_decides_which_account_is_deployed_to(tmp_path: Path, goal: str) -> None:
    assert variables(tmp_path, goal, AWS_PROFILE="production")["AWS_PROFILE"] == "production"
    assert "AWS_PROFILE" not in variables(tmp_path, "probe", AWS_PROFILE="production")


def test_settings_of_installers_and_interpreters_stay_outside(tmp_path: Path) -> None:
    given = dict.fromkeys(["PIP_USER", "PYTHONPATH", "VIRTUAL_ENV", "UV_PYTHON", "UV_SYSTEM_PYTHON", "NODE_ENV"], "1")
    found = variables(tmp_path, "probe", **given, PIP_INDEX_URL="https://mirror.example/simple")
    assert not given.keys() & found.keys()
    assert found["PIP_INDEX_URL"] == "https://mirror.example/simple"


@pytest.mark.parametrize("goal", ["deploy", "destroy", "remove-region", "cleanup-failed"])
def test_what_works_on_an_account_says_what_it_wants_before_it_sets_anything_up(goal: str) -> None:
    done = subprocess.run(
        ["make", goal], cwd=REPOSITORY, env=OUTSIDE, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert f"make {goal} ENV=prod" in done.stderr
    assert done.stdout == ""


def test_deploy_goes_through_the_gate_with_everything_that_was_said() -> None:
    said = ["ENV=prod", "REGION=us-west-1", "CONFIRM=prod", "PREFLIGHT=skip"]
    command = ["make", "--dry-run", "deploy", *said]
    done = subprocess.run(command, cwd=REPOSITORY, env=OUTSIDE, capture_output=True, text=True, timeout=60, check=True)
    recipe = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "-m deployment --env prod --region us-west-1 --preflight skip --confirm prod" in recipe
    assert "cdk deploy" not in recipe
