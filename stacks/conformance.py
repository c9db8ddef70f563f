"""Which resources of the synthesized templates realise each figure of the architecture.

``python -m stacks.conformance cdk.out`` prints it; the exit status is 1 where a template disagrees with a figure, or
nothing realises one that the environment has a use for.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stacks.figures.report import markdown, table
from stacks.figures.templates import AssemblyError, Templates
from stacks.figures.verdicts import Status, judge
from stacks.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or what an option asks for; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stacks.conformance", description=__doc__)
    parser.add_argument("folder", type=Path, help="what cdk synth wrote: cdk.out")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="every finding, unabridged")
    form.add_argument("--markdown", action="store_true", help="a page of documentation")
    chosen = parser.parse_args(arguments)
    try:
        verdicts = judge(chosen.folder)
    except (AssemblyError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.json:
        text = json.dumps([asdict(verdict) for verdict in verdicts], indent=2, ensure_ascii=False)
    elif chosen.markdown:
        text = "\n".join(markdown(verdicts, Templates(chosen.folder).environment))
    else:
        text = "\n".join(table(verdicts))
    sys.stdout.write(f"{text}\n")
    return int(any(verdict.status is Status.DISAGREES for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
