"""How click helps and reads in every command here: help in lines that the terminal holds, examples included and these
such that they can be pasted, finite numbers, and paths from the home folder."""

from __future__ import annotations

import math
import os
from typing import Any

import click

_ON = " \\"
_DEEPER = 4


class HelpText(click.HelpFormatter):
    """Click leaves the lines of a marked paragraph as they are; here a command that is too long goes on below."""

    def write_text(self, text: str) -> None:
        before = len(self.buffer)
        super().write_text(text)
        written = "".join(self.buffer[before:])
        del self.buffer[before:]
        self.write("\n".join(_broken(line, self.width) for line in written.split("\n")))


def _broken(line: str, width: int) -> str:
    """A line whose words go on in the next one, after a backslash where it is a command's."""
    if len(line) <= width:
        return line
    indent = len(line) - len(line.lstrip())
    on = _ON if line.split()[0] in ("freehold", "python") else ""
    lines, now = [], " " * indent
    for word in line.split():
        fits = len(now) + 1 + len(word) + len(on) <= width
        if now.strip() and not fits:
            lines.append(now + on)
            now = " " * (indent + _DEEPER) + word
        else:
            now = f"{now} {word}" if now.strip() else now + word
    return "\n".join([*lines, now])


def _install_help() -> None:
    """Have every command of this process write its help so."""
    click.Context.formatter_class = HelpText


MOST = 2**63 - 1
_Kind = click.types.FloatParamType | click.types.IntParamType


def _install_numbers() -> None:
    """Numbers are finite, and whole ones fit into 64 bits: nan passes every comparison with a bound, inf most of them,
    and neither a database nor a file holds a larger integer."""
    plain = click.types.FloatParamType.convert  # of integers, too: both inherit it

    def convert(kind: _Kind, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = plain(kind, value, param, ctx)  # type: ignore[arg-type]
        if isinstance(found, float) and not math.isfinite(found):
            kind.fail(f"{value!r} is not a finite number.", param, ctx)
        if isinstance(found, int) and abs(found) > MOST:
            kind.fail(f"{value} is too large a number.", param, ctx)
        return found

    click.types.FloatParamType.convert = convert  # type: ignore[method-assign, assignment]
    click.types.IntParamType.convert = convert  # type: ignore[method-assign, assignment]


def _install_paths() -> None:
    """``--out=~/x`` means the home folder: a shell leaves the tilde there as it is. ``--out "$FILE"`` without such a
    variable names nothing, not the current folder."""
    plain = click.Path.convert

    def convert(
        kind: click.Path, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if value == "":
            kind.fail("it is empty and names no path; is a variable of the shell not set?", param, ctx)
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            value = os.path.expanduser(value)  # noqa: PTH111 - click converts it to a path
        return plain(kind, value, param, ctx)

    click.Path.convert = convert  # type: ignore[method-assign, assignment]


def install() -> None:
    """Have every command of this process read and help so."""
    _install_help()
    _install_numbers()
    _install_paths()
