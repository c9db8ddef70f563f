"""Sends the head of an answer together with its body: one call of the system, and one packet, instead of two."""

import asyncio

SMALL_BYTES = 64 * 2**10
"""Above it, to copy takes longer than to send twice."""


class Joined:
    """What uvicorn's protocol asks of a transport. A write waits for the next one, until the event loop's next turn."""

    __slots__ = ("_loop", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send ``data`` with what waits; else let it wait."""
        if self._waiting is None:
            self._waiting = data
            self._loop.call_soon(self._flush)
            return
        if len(self._waiting) + len(data) <= SMALL_BYTES:
            self._transport.write(self._waiting + data)
        else:
            self._transport.write(self._waiting)
            self._transport.write(data)
        self._waiting = None

    def close(self) -> None:
        """Once everything is sent."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over."""
        self._flush()
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        if self._waiting is not None:
            self._transport.write(self._waiting)
            self._waiting = None
