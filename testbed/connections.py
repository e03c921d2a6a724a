"""Ends a connection the hard way, so that the client sees a reset and no orderly close."""

from __future__ import annotations

import asyncio
import socket
import struct

LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing discards what is unsent and sends RST instead of FIN."""


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Resets a connection; one that is closed already stays so."""
    if not isinstance(transport, asyncio.Transport) or transport.is_closing():
        return
    plain: socket.socket = transport.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    transport.abort()
