"""``--out=~/x`` means the home folder: a shell leaves the tilde there as it is."""

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
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            value = os.path.expanduser(value)  # noqa: PTH111 - click converts it to a path
        return plain(kind, value, param, ctx)

    click.Path.convert = convert  # type: ignore[method-assign, assignment]
