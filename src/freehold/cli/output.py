"""The one way from a command to the terminal: words of strangers cannot steer it (see `freehold.visible`)."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

from freehold.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.style import Style


def _without_link(style: Style | None) -> Style | None:
    """A style that shows no other address than its text does."""
    return style.update_link(None) if style is not None and style.link else style


_STYLE = re.compile("\x1b\\[[0-9;]*m")
_MARK = re.compile(r"( *)(?:[·*-] )?")
IN_A_PIPE = 100_000
"""Columns where there is no terminal: lines stay whole."""
_FEWEST = 40


def columns() -> int:
    """The terminal's width; `IN_A_PIPE` where there is none and ``COLUMNS`` does not say one."""
    return max(shutil.get_terminal_size((IN_A_PIPE, 24)).columns, _FEWEST)


def uncoloured() -> bool:
    """Whether ``NO_COLOR`` is set (https://no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def shows_colour(console: Console) -> bool:
    """Whether what is printed there can be told apart by colour: rich knows of ``NO_COLOR`` only as it draws."""
    return console.is_terminal and console.color_system is not None and not uncoloured()


def echo(
    message: Any = "",
    *,
    file: IO[str] | None = None,
    nl: bool = True,
    err: bool = False,
    color: bool | None = None,
    whole: bool = False,
) -> None:
    """`click.echo`, of text that only has line breaks, tabs and styles, in lines that the terminal holds.

    `whole` is for a document in a format of its own, whose lines must stay as they are. A word that is longer than the
    terminal is wide (an address, a hash) is never broken: it could not be copied then.
    """
    text = visible(str(message), styles=True)
    if nl and not whole and (width := columns()) < IN_A_PIPE:
        text = "\n".join(_fitted(line, width) for line in text.split("\n"))
    click.echo(text, file=file, nl=nl, err=err, color=False if uncoloured() else color)


def cells(text: str) -> int:
    """How wide a text without line breaks is on a terminal: wide letters count twice, styles and marks nothing."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    plain = _STYLE.sub("", text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in plain
    )


def _fitted(line: str, width: int) -> str:
    """A line broken at spaces where it is too long; what follows hangs under the first word, or a little to the right
    of it where that has no mark of a list."""
    if cells(line) <= width:
        return line
    marked = _MARK.match(_STYLE.sub("", line))
    assert marked is not None
    hang = " " * min(len(marked[0]) + (0 if marked[0].strip() else 2), width // 2)
    lines, now, used = [], "", 0
    for space, word in re.findall(r"( *)([^ ]+)", line):
        size = cells(word)
        if now.strip() and used + len(space) + size > width:
            lines.append(now)
            now, used = hang + word, len(hang) + size
        else:
            now, used = now + space + word, used + len(space) + size
    return "\n".join([*lines, now])


def wants_json() -> bool:
    """Whether ``--json`` was asked for, also where the command line was not understood any further."""
    words = sys.argv[1:]
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def json_escaped(text: str) -> str:
    """JSON in which every character is shown plainly: the others stand as JSON's own escapes, so it means the same."""
    if visible(text) == text:
        return text
    return "".join(one if visible(one) == one else _json_escape(one) for one in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def console(**options: Any) -> Console:
    """A console of rich that prints tables and bars, and of the text in them only what `echo` would. With ``NO_COLOR``
    nothing is bold or dim either, as with `echo`."""
    import rich.console
    from rich.segment import Segment

    class SafeConsole(rich.console.Console):
        """Text is made visible when it is drawn, so that no cell, title or note is forgotten."""

        def _render_buffer(self, buffer: Iterable[Segment]) -> str:
            plain = uncoloured()
            return super()._render_buffer(
                segment
                if segment.control
                else Segment(visible(segment.text), None if plain else _without_link(segment.style))
                for segment in buffer
            )

    return SafeConsole(**options)
