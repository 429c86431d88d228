"""What options of several commands take and refuse, amounts of money and tokens among them, and what is asked of a
person."""

from __future__ import annotations

import contextlib
import getpass
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold import files
from freehold.cli.output import echo
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.types.cost import Range


def only_with(option: str, given: bool, *names: str) -> None:
    """Refuse the running command's options of these parameter names, which say something of `option` alone, where it is
    not given: passed over in silence they would promise what is not done. Raises `click.UsageError`."""
    for one in () if given else _said(names):
        raise click.UsageError(f"{one} goes with {option}")


def not_with(option: str, given: bool, *names: str) -> None:
    """Refuse those that say nothing of what `option` does, where it is given. Raises `click.UsageError`."""
    for one in _said(names) if given else ():
        raise click.UsageError(f"{one} does not go with {option}")


def _said(names: tuple[str, ...]) -> Iterator[str]:
    """Which of the running command's parameters of these names stand on its command line, as they are written there."""
    context, told = click.get_current_context(), click.core.ParameterSource.COMMANDLINE
    for one in context.command.params:
        if one.name in names and context.get_parameter_source(one.name) is told:
            yield max(one.opts, key=len) if isinstance(one, click.Option) else one.name.upper()


def variable_name(value: str) -> str:
    """Refuse a key in the place of the name of the variable that holds it, without repeating it.

    Raises `click.BadParameter`.
    """
    from freehold.types.config_file import is_variable

    if not is_variable(value):
        raise click.BadParameter(
            "not the name of an environment variable (it is not repeated here, since it may be a secret): put it into "
            "one, export OPENAI_API_KEY=…, and say OPENAI_API_KEY"
        )
    return value


def address(value: str) -> str:
    """Refuse what cannot be the address of an API. Raises `click.BadParameter`."""
    from freehold.types.config_file import no_address

    if (wrong := no_address(value)) is not None:
        raise click.BadParameter(f"it {wrong[0]}; {wrong[1]}")
    return value


@contextlib.contextmanager
def answered_by(option: str) -> Iterator[None]:
    """Questions are asked within. Raises `UsageError` where input ends before an answer, as in a script or a CI job,
    with the option that answers instead; `click.Abort` where a person declined."""
    try:
        yield
    except click.Abort as stop:
        if not isinstance(stop.__context__, EOFError):
            raise
        echo(err=True)  # the question's line is still open
        raise UsageError("there is a question, and no input to read an answer from", hint=option) from None


def agree(question: str) -> None:
    """Ask for a yes, which `--yes` of the command gives as well. Raises as `answered_by` does."""
    with answered_by("--yes agrees without being asked"):
        click.confirm(question, abort=True, err=True)


def write_markdown(path: Path | None, text: str) -> None:
    """Write what `MARKDOWN` asks for; nothing where it was not given. Raises `StorageError`."""
    if path is not None:
        with files.writing(f"{path}: cannot be written"), files.shared(path):
            files.write(path, text)


def stated(options: dict[str, Any]) -> dict[str, Any]:
    """Those of `options` that were given: click hands over None for the others."""
    return {name: value for name, value in options.items() if value is not None}


def caller() -> str:
    """Who runs this command, as histories keep it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def now() -> datetime:
    """The time of a change that was asked for, in UTC."""
    return datetime.now(UTC)


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
