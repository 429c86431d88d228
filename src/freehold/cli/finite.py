"""Numbers of the command line are finite, and whole ones fit into 64 bits.

nan passes every comparison with a bound, inf most of them, and neither a database nor a file holds a larger integer.
"""

from __future__ import annotations

import math
from typing import Any

import click

MOST = 2**63 - 1
_Kind = click.types.FloatParamType | click.types.IntParamType


def install() -> None:
    """Have every command of this process refuse others."""
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
