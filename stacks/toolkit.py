"""Is the CDK command line that runs the app one that understands what the library writes?"""

import re
from collections.abc import Mapping

CLI = "aws-cdk@2.1148.1"
"""The pinned command line; ``package.json`` names the same."""
_LEAST = (2, 1148)


class ToolkitError(Exception):
    """The app was started by a command line that cannot deploy it; the message says which one can."""


def check_toolkit(environ: Mapping[str, str]) -> None:
    """Refuse a command line of another major version or an older one. Without any (plain ``python``) all is well.

    npm's ``latest`` carries a higher number but older code, which rejects the assembly of this library.

    :raises ToolkitError: naming the version found and the one to use.
    """
    version = environ.get("CDK_CLI_VERSION")
    if not version:
        return
    match = re.match(r"(\d+)\.(\d+)\.", version)
    found = (int(match[1]), int(match[2])) if match else (0, 0)
    if found[0] != _LEAST[0] or found < _LEAST:
        raise ToolkitError(
            f"this is version {version} of the CDK command line, which cannot read what aws-cdk-lib writes here; "
            f"run: npx {CLI} <command>   (or: make synth)"
        )
