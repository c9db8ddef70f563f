"""What the processes that examine files are asked."""

import msgspec

from anfl.inspection.limits import Limits


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Examine the file at ``path`` (as the system has it), which the artefacts call ``name``."""

    name: str
    path: bytes
    scratch: bytes
    limits: Limits
    package_hosts: tuple[str, ...]
