"""How a command is declared: a function whose parameters say, by name, type and default, what is asked for.

    @operation("power", "freehold.types.evaluation:PowerPlan")
    def command(*, margin: float = opt("Largest drop you accept."), n: int | None = opt("Items.", ge=1)) -> Reply:

Parameters before the ``*`` are arguments, those behind it options. Its docstring is the help. What it returns is
printed by its view, or as JSON. The help is in lines that the terminal holds, and examples in it can be pasted.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import click

from freehold.cli.documents import JsonOption, Printed, print_json
from freehold.cli.output import show

WIDEST = 2**63 - 1
_ON = " \\"
_DEEPER = 4


class Reply(NamedTuple):
    """What a command came to: a record, how it is shown to people, what the command ends with, and which of its
    documents the record is. Without a view nothing more is printed."""

    record: Any
    view: Callable[[Any], Any] | None
    exit_code: int = 0
    which: str = ""


class Asked(NamedTuple):
    """What one parameter asks for, as `opt` and `arg` take it."""

    help: str
    flag: str
    default: Any
    metavar: str | None
    choices: Sequence[str]
    parse: Any
    check: Callable[[Any], Any] | None
    limits: dict[str, Any]
    path: dict[str, bool]
    is_required: bool = False
    is_hidden: bool = False


def opt(
    help: str,
    flag: str = "",
    default: Any = None,
    *,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    parse: Any = None,
    check: Callable[[Any], Any] | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    **path: bool,
) -> Any:
    """An option. Its flag is ``--`` and the parameter's name unless `flag` says another; a tuple is given by repeating
    it; without a default it is required where the type admits no None. `ge`, `gt` and `le` are ends of a number's
    range, `parse` makes the value of a text, `check` of a value that was given, `path` are words of `click.Path`: the
    parameters are all that options here need."""
    limits = {"min": gt if ge is None else ge, "max": le, "min_open": gt is not None}
    is_ranged = (ge, gt, le) != (None, None, None)
    return Asked(help, flag, default, metavar, choices, parse, check, limits if is_ranged else {}, path)


def arg(
    metavar: str | None = None, *, choices: Sequence[str] = (), required: bool = False, **path: bool
) -> Any:
    """An argument; a tuple takes all that are given, one at least where it is `required`."""
    return Asked("", "", None, metavar, choices, None, None, {}, path, required)


class _Opened(NamedTuple):
    must_exist: bool
    looks: bool


class _Bar:
    """Progress on stderr."""


def opened(*, must_exist: bool = False, looks: bool = False) -> Any:
    """The project around the current folder, or that of ``--config``; the words are those of `open_project`."""
    return _Opened(must_exist, looks)


BAR: Any = _Bar()
"""The default of a parameter that is told of progress."""
CONFIG: Any = opt("freehold.toml to use (default: here or in a folder above).", "--config")._replace(
    is_hidden=True
)
"""Where the project is, for a command that does not always open one. As `-v` it is in the help of `freehold`, once."""
CHANGES: Any = opt("A key of freehold.toml, for this run.", "--set", metavar="KEY=VALUE")._replace(
    is_hidden=True
)
"""Keys that the file does not say, or says otherwise, as ``task.margin=0.03``; all that open a project take it."""
YES: Any = opt("Do not ask.")
ANYWAY: Any = opt("Begin also where the first checks say that it cannot end well.")
MARKDOWN: Any = opt(
    "Write the result to this file as Markdown, too, without a word of any sample: for a pull request.",
    metavar="FILE",
    dir_okay=False,
)
ALLOWED_HOSTS: Any = opt(
    "Answer to this host name, too: a service's, a proxy's, *.example.com; * is any. Requests under other "
    "names than this machine's are refused, so that no page can point its own name here.",
    "--allow-host",
    metavar="NAME",
)


class _Finite:
    """Numbers are finite, and whole ones fit into 64 bits: nan passes every comparison with a bound, inf most of them,
    and neither a database nor a file holds a larger integer."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)  # type: ignore[misc]
        if isinstance(number, float) and not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)  # type: ignore[attr-defined]
        if isinstance(number, int) and abs(number) > WIDEST:
            self.fail(f"{value} is too large a number.", param, ctx)  # type: ignore[attr-defined]
        return number


class Whole(_Finite, click.types.IntParamType): ...


class WholeRange(_Finite, click.IntRange): ...


class Number(_Finite, click.types.FloatParamType): ...


class NumberRange(_Finite, click.FloatRange): ...


class FilePath(click.Path):
    """``--out=~/x`` means the home folder: a shell leaves the tilde there as it is. ``--out "$FILE"`` without such a
    variable names nothing, not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty and names no path; is a variable of the shell not set?", param, ctx)
        if isinstance(value, str) and (value == "~" or value.startswith("~/")):
            value = os.path.expanduser(value)  # noqa: PTH111 - click converts it to a path
        return super().convert(value, param, ctx)


class Day(click.DateTime):
    """A date."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(  # type: ignore[override]
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        return super().convert(value, param, ctx).date()


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


class Context(click.Context):
    formatter_class = HelpText


class Command(click.Command):
    context_class = Context


class Option(click.Option):
    """Click takes a default of None that is said for a value; without one it reads ``--help`` in a value's place."""

    def value_is_missing(self, value: Any) -> bool:
        return value is None or super().value_is_missing(value)


class CommandGroup(click.Group):
    context_class = Context


def operation(
    name: str, prints: str = "", *, within: click.Group | None = None, why: bool = False, **others: str
) -> Callable[[Callable[..., Reply | None]], Command]:
    """Make a command of a function, under the group it is `within`.

    With ``--json`` it prints the record that `prints` names; `others` are those it prints instead where another option
    asks for it (see `Printed.of`). With `why` it takes the reason for the entries that it makes in the audit record.
    """

    def make(function: Callable[..., Reply | None]) -> Command:
        params = _parameters(function)
        if why:
            params.append(_why())
        if prints:
            printed = {which: Printed.of(text) for which, text in {"": prints, **others}.items()}
            params.append(JsonOption(printed))
        params.append(verbose_option())
        made = Command(name, params=params, callback=_caller(function), help=inspect.getdoc(function))
        if within is not None:
            within.add_command(made)
        return made

    return make


def group(
    name: str, kind: type[CommandGroup] = CommandGroup, **settings: Any
) -> Callable[[Callable[..., None]], CommandGroup]:
    """Make a group of a function, which does nothing unless the group does something without a command."""

    def make(function: Callable[..., None]) -> CommandGroup:
        return kind(
            name,
            params=[*_parameters(function), verbose_option()],
            callback=_caller(function),
            help=inspect.getdoc(function),
            **settings,
        )

    return make


def _caller(function: Callable[..., Reply | None]) -> Callable[..., None]:
    """What click calls: the function with its project opened and its progress shown, then its answer printed."""
    defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}

    @functools.wraps(function)
    def call(**given: Any) -> None:
        as_json = given.pop("as_json", False)
        if "as_json" in defaults:
            given["as_json"] = as_json
        with ExitStack() as stack:
            for name, default in defaults.items():
                if isinstance(default, _Opened):
                    from freehold.workflows.project import open_project

                    config, changes = given.pop("config_path"), given.pop("changes")
                    given[name] = open_project(config, changes=changes, **default._asdict())
                elif isinstance(default, _Bar):
                    from freehold.cli.progress import progress

                    given[name] = stack.enter_context(progress())
            answer = function(**given)
        if answer is not None:
            tell(answer, as_json)
            if answer.exit_code:
                raise click.exceptions.Exit(answer.exit_code)

    return call


def tell(answer: Reply, as_json: bool) -> None:
    """Print an answer: the command's own, or what it says while it goes on."""
    if answer.view is not None and as_json:
        print_json(answer.record, answer.which)
    elif answer.view is not None:
        show(answer.view(answer.record))


class _Named:
    """A type that is not loaded to read a command: its option says what it may be, by its choices or what parses it."""


def _parameters(function: Callable[..., Any]) -> list[click.Parameter]:
    class TypeNames(dict[str, Any]):
        """A type that is known to type checkers only."""

        def __missing__(self, name: str) -> type:
            return _Named

    names = TypeNames({**vars(builtins), **function.__globals__})
    made: list[click.Parameter] = []
    for one in inspect.signature(function).parameters.values():
        asked = one.default
        if isinstance(asked, _Opened):
            made.append(_parameter("config_path", Path | None, CONFIG, is_option=True))
            made.append(_parameter("changes", tuple[str, ...], CHANGES, is_option=True))
        elif isinstance(asked, Asked):
            annotation = eval(str(one.annotation), {}, names)  # noqa: S307 - of this source
            made.append(_parameter(one.name, annotation, asked, is_option=one.kind is one.KEYWORD_ONLY))
    return made


def _parameter(name: str, annotation: Any, asked: Asked, *, is_option: bool) -> click.Parameter:
    kinds = get_args(annotation) if get_origin(annotation) in (UnionType, Union) else (annotation,)
    is_optional, kind = NoneType in kinds, kinds[0]
    parts = get_args(kind) if get_origin(kind) is tuple else ()
    is_many = len(parts) == 2 and parts[1] is Ellipsis
    type_: Any
    if parts and not is_many:
        type_ = tuple(_type(part, asked) for part in parts)
    else:
        type_ = _type(parts[0] if is_many else kind, asked)
    is_required = asked.default is None and not is_optional and not is_many and kind is not bool
    is_required = is_required or asked.is_required
    if not is_option:
        count = -1 if is_many else 1
        return click.Argument([name], type=type_, nargs=count, required=is_required, metavar=asked.metavar)
    flag = asked.flag or f"--{name.strip('_').replace('_', '-')}"
    if kind is bool:
        has_no = is_optional or asked.default
        flag, type_ = (f"{flag}/--no-{flag[2:]}" if has_no else flag), None
    default = False if kind is bool and not is_optional and asked.default is None else asked.default
    return Option(
        [*flag.split(), name],
        type=type_,
        is_flag=kind is bool,
        multiple=is_many,
        required=is_required,
        show_default=kind is not bool and asked.default not in (None, "", ()),
        metavar=asked.metavar,
        hidden=asked.is_hidden,
        callback=None if asked.check is None else _checking(asked.check),
        help=asked.help,
        default=default,
    )


def _checking(check: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    return lambda _context, _parameter, value: None if value is None else check(value)


def _type(kind: Any, asked: Asked) -> Any:
    """Click's type of a value."""
    if asked.parse is not None:
        return asked.parse
    if asked.choices or get_origin(kind) is Literal:
        return click.Choice(asked.choices or get_args(kind))
    if kind is int:
        return WholeRange(**asked.limits) if asked.limits else Whole()
    if kind is float:
        return NumberRange(**asked.limits) if asked.limits else Number()
    if kind is Path:
        return FilePath(path_type=Path, **asked.path)
    if kind is date:
        return Day()
    assert kind in (str, bool), f"{asked.help or 'an argument'}: say its choices, or what parses it"
    return str


def _why() -> click.Option:
    """``--why TEXT``: the reason, for the entries of the audit record that the command makes."""

    def remember(context: click.Context, _: click.Parameter, value: str | None) -> None:
        from freehold.types.audit import WHY_LENGTH_MAX, change_why

        if value is None or context.resilient_parsing:
            return
        if len(value) > WHY_LENGTH_MAX:
            raise click.BadParameter(f"at most {WHY_LENGTH_MAX} characters")
        token = change_why.set(value)
        context.call_on_close(lambda: change_why.reset(token))

    return click.Option(
        ["--why"],
        metavar="TEXT",
        expose_value=False,
        callback=remember,
        help="Kept in the audit record, which nothing is ever taken out of: name no person.",
    )


def _listen(ctx: click.Context, option: click.Parameter, times: int) -> None:
    """Log what was asked for, here and in every process started from here."""
    if times:
        from freehold import logs

        logs.add("info" if times == 1 else "debug")
        logs.configure()


def verbose_option(*, hidden: bool = True) -> click.Option:
    """``-v``, which stands after a command's name as well; the help of `freehold` says so once."""
    return click.Option(
        ["-v", "--verbose"],
        count=True,
        expose_value=False,
        callback=_listen,
        hidden=hidden,
        help="Log what starts, stops and is retried, before or after COMMAND; -vv logs more.",
    )
