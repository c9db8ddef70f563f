"""``python -m documentation build FOLDER`` and ``python -m documentation publish --env prod``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from boto3 import Session
from botocore.exceptions import BotoCoreError, ClientError

from anfl.wording import counted
from documentation.pages import site
from documentation.publish import PublishError, place_of, publish
from stacks.settings import SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site into a folder, or publish it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m documentation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="write the site").add_argument("folder", type=Path)
    commands.add_parser("publish", help="bring the site to CloudFront").add_argument("--env", required=True)
    chosen = parser.parse_args(arguments)
    files = site()
    if chosen.command == "build":
        for path, content in files.items():
            chosen.folder.mkdir(parents=True, exist_ok=True)
            (chosen.folder / path).write_bytes(content)
        sys.stdout.write(f"{counted(len(files), 'file')} in {chosen.folder}\n")
        return 0
    session = Session()
    try:
        done = publish(files, place_of(load(chosen.env), session), session)
    except (PublishError, SettingsError, ClientError, BotoCoreError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for what, paths in (("uploaded", done.uploaded), ("deleted", done.deleted)):
        sys.stdout.writelines(f"{what} {path}\n" for path in paths)
    sys.stdout.write(f"there already: {counted(len(done.kept), 'file')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
