"""Tell the service manager that started this process how it is, as systemd's ``Type=notify`` asks.

The protocol is one datagram to the socket in ``NOTIFY_SOCKET``: https://www.freedesktop.org/software/systemd/man/sd_notify.html
(read 2026-11-29).
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Literal

NOTIFY_SOCKET = "NOTIFY_SOCKET"


def tell_manager(state: Literal["READY=1", "STOPPING=1"]) -> bool:
    """Send a state; False where no manager asked for it, or its socket does not take it. Never raises: a server does
    not end because its manager is deaf."""
    address = os.environ.get(NOTIFY_SOCKET, "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    if address.startswith("@"):  # a name that is not in the file system
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.sendto(state.encode(), address)
        return True
    return False
