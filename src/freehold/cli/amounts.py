"""Amounts of money and of tokens, as options of several commands take them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from freehold.types.cost import Range

_MONEY = re.compile(r"[^\d.,_eE+-]")
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+(\.\d*)?|\d+(_\d+)*(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d*", re.ASCII)
_MOST = 10**15
_EXPONENT = re.compile(r"(?<=[eE])-")


def number(text: str) -> Decimal:
    """A number of dollars or tokens, exactly as written; separators of thousands (``2,000,000``, ``2_000_000``) are
    fine, and a dollar sign before it.

    Raises `click.BadParameter` for anything else, and for a decimal comma: read as a separator, ``2,5`` would be 25.
    """
    plain = str(text).strip().removeprefix("$").removesuffix("USD").strip()
    if _MONEY.search(plain):
        raise click.BadParameter(f"{text!r} is not a number; amounts are in US dollars: convert others first")
    if not _NUMBER.fullmatch(plain):
        if _DECIMAL_COMMA.fullmatch(plain):
            raise click.BadParameter(f"{text!r} has a decimal comma; decimals stand after a point: 2.5")
        raise click.BadParameter(f"{text!r} is not a number")
    found = Decimal(plain.replace("_", "").replace(",", ""))
    if abs(found) > _MOST:
        raise click.BadParameter(
            f"{text!r} is more than {_MOST:,}: more than any bill, and than any month's tokens"
        )
    return found


def low_high(text: str) -> Range:
    """``2.5`` or ``2-3.5``, the lower end first. Raises `click.BadParameter` for anything else."""
    from freehold.types.cost import Range

    plain = text.strip()
    low, dash, high = _EXPONENT.sub("\0", plain).partition("-")
    low, high = (end.replace("\0", "-") for end in (low, high))
    if not low:
        raise click.BadParameter(f"{text} is below 0; a price an hour is 0 or more")
    if dash and not high.strip():
        raise click.BadParameter(f"{text} has no upper end; a range is written 2-3.5")
    found = Range(low=number(low), high=number(high if dash else low))
    if found.high < found.low:
        raise click.BadParameter(f"{text} ends below its beginning; a range is written 2-3.5")
    return found


def budget(text: str) -> Decimal:
    """`number` of dollars that may be spent. Raises `click.BadParameter` for one below 0 as well."""
    found = number(text)
    if found < 0:
        raise click.BadParameter(f"{text!r} is below 0")
    return found
