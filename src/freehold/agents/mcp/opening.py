"""The first answer, at once: `initialize` is answered before the protocol's library is there, which takes seconds.

Of stdio the first line is read here. Where it is an ordinary `initialize` its answer is written at once; the library
then gets the same line and opens its session by it, and its own answer, which tests hold to be the same, is dropped.
Whatever else comes first (the handshake of 2026-07-28, nonsense) is left to the library.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

import msgspec

from freehold import __version__

NAME, TITLE = "freehold", "freehold"
INSTRUCTIONS = (
    "freehold moves an application off a rented model API onto an open-weight model its owner holds, and proves that "
    "the move is safe, or says to stay. The usual way from a log to a verdict: find_tasks, draft_project, then ask the "
    "user about what `open` lists (the use, the margin), check_license, check_fit, estimate_cost, plan_power, "
    "check_migration, migrate, read(report). With scores or answers at hand: compare_scores, evaluate_answers. In the "
    "middle of it: read(status). "
    "A verdict is promote, hold or reject; hold means that it is not proven either way, never that it is nearly good. "
    "Do not look at the same held-out items again and again: looks are counted. Tools that act ask the user; if you "
    "are told that a confirmation is needed, tell the user what for, and do not look for a way around it. Errors come "
    "with a hint: follow it; a command `freehold …` is for your user. Long answers are cut, and say how to read on."
)
SERVED_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions of the protocol that begin with `initialize`, oldest first; a client of another one is offered the last."""
_LONGEST_LINE = 1 << 20


def first_line(stdin: BinaryIO) -> bytes:
    """The first line, within limits."""
    return stdin.readline(_LONGEST_LINE)


def answer(line: bytes) -> bytes | None:
    """The answer to an `initialize` as one line; None for anything else."""
    try:
        asked = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    if not isinstance(asked, dict) or asked.get("method") != "initialize" or not _is_id(asked.get("id")):
        return None
    params = asked.get("params")
    if asked.get("jsonrpc") != "2.0" or not isinstance(params, dict) or not _is_complete(params):
        return None
    wanted = params["protocolVersion"]
    result = {
        "protocolVersion": wanted if wanted in SERVED_VERSIONS else SERVED_VERSIONS[-1],
        "capabilities": {
            "tools": {"listChanged": False},
        },
        "serverInfo": {"name": NAME, "version": __version__, "title": TITLE},
        "instructions": INSTRUCTIONS,
    }
    return msgspec.json.encode({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + b"\n"


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_complete(params: dict[str, Any]) -> bool:
    """Whether the library would accept them: what it would refuse must not have been welcomed."""
    client = params.get("clientInfo")
    return (
        isinstance(params.get("protocolVersion"), str)
        and isinstance(params.get("capabilities"), dict)
        and isinstance(client, dict)
        and isinstance(client.get("name"), str)
        and isinstance(client.get("version"), str)
    )


class ReplayedInput:
    """Lines of text: the first one again, then what follows from the wire. In place of the library's own stdin."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    async def __aiter__(self) -> AsyncIterator[str]:
        import anyio.to_thread

        yield self._first.decode("utf-8", "replace")
        while line := await anyio.to_thread.run_sync(self._rest.readline, abandon_on_cancel=True):
            yield line.decode("utf-8", "replace")


class CutOutput:
    """Text to the wire, without the first message where that was sent before."""

    def __init__(self, wire: BinaryIO, *, drop_first: bool) -> None:
        self._wire, self._drop = wire, drop_first

    async def write(self, text: str) -> None:
        if self._drop:
            self._drop = False
            return
        self._wire.write(text.encode())

    async def flush(self) -> None:
        self._wire.flush()


def serve_stdio(build: Any) -> None:
    """Answer on stdin and stdout until stdin ends. `build` gives the library's server; it is called after the first
    answer was sent. What else is printed goes to stderr: stdout belongs to the protocol."""
    import os

    wire_in, wire_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device; children read no line of the protocol
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    line = first_line(wire_in)
    said = answer(line)
    if said is not None:
        wire_out.write(said)
        wire_out.flush()
    if not line:
        return
    import anyio
    from mcp.server.stdio import stdio_server

    server = build()

    async def serve() -> None:
        source: Any = ReplayedInput(line, wire_in)
        sink: Any = CutOutput(wire_out, drop_first=said is not None)
        async with stdio_server(stdin=source, stdout=sink) as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(serve)
