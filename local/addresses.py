"""The one place where names that resolve only inside the VPC become loopback addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from local.guard import require_loopback

_BOUNDARY = frozenset("/?#")


@dataclass(frozen=True, kw_only=True)
class AddressBook:
    """Declared address (URL, or host with or without a port) → loopback address of the same kind."""

    entries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """:raises NotLoopbackError: an entry leads away from this machine."""
        for target in self.entries.values():
            require_loopback(target if "://" in target else f"http://{target}")

    @classmethod
    def decode(cls, text: str | bytes) -> "AddressBook":
        """Read ``{"<declared>": "<loopback>", …}``.

        :raises msgspec.MsgspecError: it is something else.
        """
        return cls(entries=msgspec.json.decode(text or b"{}", type=dict[str, str]))

    def translate(self, value: str) -> str:
        """``value`` with the declared address that it starts with replaced; the longest declared one wins.

        An address matches whole only: ``http://vault:8200`` is no prefix of ``http://vault:82001``.
        """
        for declared in sorted(self.entries, key=len, reverse=True):
            target, rest = self.entries[declared], value[len(declared) :]
            ends = _BOUNDARY | ({":"} if ":" not in declared + target else frozenset())
            if value.startswith(declared) and (not rest or rest[0] in ends or declared.endswith("/")):
                return target + rest
        return value

    def substitute(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment variables with every declared address replaced."""
        return {name: self.translate(value) for name, value in env.items()}
