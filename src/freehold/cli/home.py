"""``--out=~/x`` means the home folder: a shell leaves the tilde there as it is. ``--out "$FILE"`` without such a
variable names nothing, not the current folder."""

from __future__ import annotations

import os
from typing import Any

import click


def install() -> None:
    """Have every command of this process read paths so."""
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
