"""The one way from a command to the terminal: words of strangers cannot steer it (see `freehold.visible`)."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from freehold.types.finding import Finding, Outcome
from freehold.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.style import Style


def _without_link(style: Style | None) -> Style | None:
    """A style that shows no other address than its text does."""
    return style.update_link(None) if style is not None and style.link else style


_STYLE = re.compile("\x1b\\[[0-9;]*m")
_NUMBER = re.compile(r"[+-]?[\d,.]*\d[\d,.e+-]*( ?(%|USD|[KMGT]i?B|[MBT]|ms))?[ *✗]*|–?|not counted")
"""A cell of a column of numbers, or of one that has none."""
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


def echo_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows under their headings, which are the first, numbers to the right, without columns that are empty; where the
    terminal is too narrow, each row as a block: its first cell, then each other cell behind its heading."""
    used = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
    rows = [[row[place] for place in used] for row in rows]
    heads, body = rows[0], rows[1:]
    widths = [max(cells(row[place]) for row in rows) for place in range(len(heads))]
    numbers = [all(_NUMBER.fullmatch(row[place]) for row in body) for place in range(len(heads))]
    if sum(widths) + 2 * (len(widths) - 1) <= columns():
        for row in rows:
            gaps = (" " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True))
            echo(
                "  ".join(
                    gap + cell if right else cell + gap
                    for cell, gap, right in zip(row, gaps, numbers, strict=True)
                ).rstrip()
            )
        return
    for row in body:
        echo(row[0])
        show((head, cell) for head, cell in zip(heads[1:], row[1:], strict=True))


def hanging(text: str, first: str, rest: str | None = None) -> str:
    """`text` after `first`, broken to the terminal's width with later lines under it; whole lines in a pipe. Colours of
    `first` take no room."""
    room = " " * cells(first)
    filled = textwrap.fill(
        text,
        max(columns() - 1, 40),
        initial_indent=room,
        subsequent_indent=room if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return first + filled[len(room) :] if filled else ""


class Aside(str):
    """A line of a view that goes to stderr: talk, not data."""


class Verbatim(str):
    """Lines that stay whole: a file, an address, or a command that is to be pasted."""


class TableRows(list[Sequence[str]]):
    """A table: the first row are its headings."""


Block = str | tuple[str, str | None] | TableRows
View = Iterable[Block]
"""What a record shows people: lines, tables, and facts: a name and a text. One without a text is left out, and a name
is written once."""


def show(view: View | None) -> None:
    """Print a view; facts that follow each other stand under each other."""
    facts: list[tuple[str, str]] = []
    for block in view or ():
        if isinstance(block, tuple):
            facts += [(block[0], str(block[1]))] if block[1] else []
            continue
        _show_facts(facts)
        facts = []
        if isinstance(block, TableRows):
            echo_table(block)
        else:
            echo(block, err=isinstance(block, Aside), whole=isinstance(block, Verbatim))
    _show_facts(facts)


def _show_facts(facts: Sequence[tuple[str, str]]) -> None:
    width = max((cells(name) for name, _ in facts), default=0)
    before = None
    for name, text in facts:
        said = "" if name == before else name
        echo(hanging(text, f"  {said}{' ' * (width - cells(said))}  "))
        before = name


def short_count(parameters: int) -> str:
    """``362M``, ``27.0B``, ``1.03T``: a number of parameters as people say it."""
    if parameters >= 999.95e9:
        return f"{parameters / 1e12:.2f}T"
    return f"{parameters / 1e9:.1f}B" if parameters >= 999.5e6 else f"{parameters / 1e6:.0f}M"


COLOURS: dict[Outcome, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def findings_view(findings: Sequence[Finding]) -> Iterator[str]:
    """Findings in their order, each with its way out."""
    for one in findings:
        mark = click.style(f"{one.outcome:<4}", fg=COLOURS[one.outcome], bold=one.outcome != "ok")
        yield hanging(_printable(one.text), f"  {mark}  {one.check:<14} ", " " * 23)
        if one.fix:
            yield click.style(hanging(_printable(one.fix), f"{'':<23}→ "), fg="cyan")


def _printable(text: str) -> str:
    """Text that cannot steer the terminal: names of files, keys and models are what others made them."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


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
