"""Options that several commands share, and how they print."""

from __future__ import annotations

import contextlib
import getpass
import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from freehold import files
from freehold.cli import documents
from freehold.cli.documents import json_option as json_option
from freehold.cli.output import cells, columns, echo, json_escaped
from freehold.errors import UsageError
from freehold.types.finding import Finding, Outcome

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """``--config FILE``: another project than the one around the current folder."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        help="freehold.toml to use (default: here or in a folder above).",
    )(command)


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


def variable_name(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse a key in the place of the name of the variable that holds it, without repeating it.

    Raises `click.BadParameter`.
    """
    from freehold.types.config_file import is_variable

    if value is not None and not is_variable(value):
        raise click.BadParameter(
            "not the name of an environment variable (it is not repeated here, since it may be a secret): put it into "
            "one, export OPENAI_API_KEY=…, and say OPENAI_API_KEY"
        )
    return value


def address(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse what cannot be the address of an API. Raises `click.BadParameter`."""
    from freehold.types.config_file import no_address

    if value is not None and (wrong := no_address(value)) is not None:
        raise click.BadParameter(f"it {wrong[0]}; {wrong[1]}")
    return value


def allow_host_option(command: F) -> F:
    """``--allow-host NAME``: a name that clients reach the server by besides this machine's own."""
    return click.option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="NAME",
        help="Answer to this host name, too: a service's, a proxy's, *.example.com; * is any. Requests under other "
        "names than this machine's are refused, so that no page can point its own name here.",
    )(command)


def why_option(command: F) -> F:
    """``--why TEXT``: the reason, for the entries of the audit record that the command makes."""

    def remember(context: click.Context, _: click.Parameter, value: str | None) -> None:
        from freehold.types.audit import WHY_LENGTH_MAX, change_why

        if value is None or context.resilient_parsing:
            return
        if len(value) > WHY_LENGTH_MAX:
            raise click.BadParameter(f"at most {WHY_LENGTH_MAX} characters")
        token = change_why.set(value)
        context.call_on_close(lambda: change_why.reset(token))

    return click.option(
        "--why",
        metavar="TEXT",
        expose_value=False,
        callback=remember,
        help="Kept in the audit record, which nothing is ever taken out of: name no person.",
    )(command)


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


def anyway_option(command: F) -> F:
    """``--anyway``: begin although the look before has found that no good end is possible."""
    return click.option(
        "--anyway",
        is_flag=True,
        help="Begin also where what is looked at first says that it cannot end well.",
    )(command)


def markdown_option(command: F) -> F:
    """``--markdown FILE``: the result for a comment under a pull request, besides what is printed."""
    return click.option(
        "--markdown",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the result to this file as Markdown, too, without a word of any sample: for a pull request.",
    )(command)


def write_markdown(path: Path | None, text: str) -> None:
    """Write what `markdown_option` asks for; nothing where it was not given. Raises `StorageError`."""
    if path is not None:
        with files.writing(f"{path}: cannot be written"), files.shared(path):
            files.write(path, text)


def stated(options: dict[str, Any]) -> dict[str, Any]:
    """Those of `options` that were given: click hands over None for the others."""
    return {name: value for name, value in options.items() if value is not None}


def print_json(value: Any, which: str = "", *, one_line: bool = False) -> None:
    """The running command's document on stdout, the one that `json_option` knows as `which`; what could steer a
    terminal is escaped in it. Indented, unless `one_line`, where there are many."""
    made = documents.document(value, documents.current_schema(which))
    echo(json_escaped((made if one_line else msgspec.json.format(made)).decode()), whole=True)


def print_error(told: dict[str, Any], **beside: Any) -> None:
    """The error that ended a command, as a document on stdout."""
    made = documents.document({"error": told, **beside}, documents.ERROR_SCHEMA)
    echo(json_escaped(msgspec.json.format(made).decode()), whole=True)


def print_foreign_json(value: Any) -> None:
    """One indented JSON document of a format that others have laid down."""
    echo(json_escaped(msgspec.json.format(msgspec.json.encode(value)).decode()), whole=True)


def echo_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows under their headings, which are the first; where the terminal is too narrow for the columns, each row as a
    block: its first cell, then each other cell behind its heading."""
    widths = [max(cells(row[place]) for row in rows) for place in range(len(rows[0]))]
    if sum(widths) + 2 * (len(widths) - 1) <= columns():
        for row in rows:
            padded = (cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True))
            echo("  ".join(padded).rstrip())
        return
    heads = rows[0]
    name_width = max(map(cells, heads[1:]))
    for row in rows[1:]:
        echo(row[0])
        for head, cell in zip(heads[1:], row[1:], strict=True):
            echo(hanging(cell, f"  {head + ' ' * (name_width - cells(head))}  "))


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


def short_count(parameters: int) -> str:
    """``362M``, ``27.0B``, ``1.03T``: a number of parameters as people say it."""
    if parameters >= 999.95e9:
        return f"{parameters / 1e12:.2f}T"
    return f"{parameters / 1e9:.1f}B" if parameters >= 999.5e6 else f"{parameters / 1e6:.0f}M"


def caller() -> str:
    """Who runs this command, as histories keep it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def now() -> datetime:
    """The time of a change that was asked for, in UTC."""
    return datetime.now(UTC)


COLOURS: dict[Outcome, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_findings(findings: Sequence[Finding], *, err: bool = False) -> None:
    """Print them in their order; to stderr with `err`."""
    for one in findings:
        mark = click.style(f"{one.outcome:<4}", fg=COLOURS[one.outcome], bold=one.outcome != "ok")
        text = hanging(_printable(one.text), f"  xxxx  {one.check:<14} ")
        echo(text.replace("xxxx", mark, 1), err=err)
        if one.fix:
            echo(click.style(hanging(_printable(one.fix), f"{'':<23}→ "), fg="cyan"), err=err)


def _printable(text: str) -> str:
    """Text that cannot steer the terminal: names of files, keys and models are what others made them."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
