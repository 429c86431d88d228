"""The `freehold` command: a table of late imports, so that ``--help`` stays fast."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from functools import partial
from typing import Any, NamedTuple, NoReturn

import click

from freehold import files
from freehold.cli import ending
from freehold.cli.documents import json_flag, print_error, version_option
from freehold.cli.operation import CommandGroup, verbose_option
from freehold.cli.output import echo, wants_json
from freehold.errors import FreeholdError, UntrustedError, nearest


class Entry(NamedTuple):
    """One command: where it lives in this room and the line shown in the overview."""

    target: str
    summary: str


# Parts in the order of the journey; within a part, commands in the order one meets them.
PARTS: dict[str, dict[str, Entry]] = {
    "The whole journey": {
        "demo": Entry("migrate:demo", "Run the whole journey on a shipped example"),
        "init": Entry("init:init", "Write a first freehold.toml from what your log tells"),
        "status": Entry("status:status", "Where am I, and what next?"),
        "migrate": Entry("migrate:migrate", "Run the whole journey from your freehold.toml"),
        "rescue": Entry("rescue:rescue", "My fine-tuned GPT stops on a date: what now?"),
        "report": Entry("status:report", "Write the page that tells it all"),
        "down": Entry("migrate:down", "Stop what migrate or demo left running"),
    },
    "Your traffic, as data": {
        "import": Entry("data:import_", "Bring logged traffic in as traces"),
        "tasks": Entry("data:tasks", "Which tasks are in a log, and which to move first"),
        "traces": Entry("traces:traces", "Look at traces, and export them"),
        "store": Entry("store:store", "Check, back up and restore the store"),
        "forget": Entry("traces:forget", "Delete a person's words, wherever they are here"),
        "dataset": Entry("data:dataset", "Turn traces into an immutable dataset"),
    },
    "Choose": {
        "scan": Entry("incumbent:scan", "Where does my code use rented models, and until when?"),
        "retirements": Entry("incumbent:retirements", "When is the model I pay for shut down?"),
        "license": Entry("license:license", "May I use this model for this, and what must I do?"),
        "assess": Entry("assess:assess", "Which open models may I use, can I run, do what I need"),
        "fit": Entry("fit:fit", "Does a model fit here, in which quantization, and how fast is it?"),
        "cost": Entry("cost:cost", "Leave or stay, on cost alone"),
        "catalog": Entry("catalog:catalog", "The models freehold knows, and what is new on a hub"),
    },
    "Train": {
        "train": Entry("train:train", "Train an adapter on a dataset"),
    },
    "Serve": {
        "models": Entry("models:models", "Fetch weights; list, export and remove what is held here"),
        "engines": Entry("engines:engines", "List engines, and build llama.cpp for this CPU"),
        "serve": Entry("serve:serve", "Serve a model and its adapters, each by its name"),
    },
    "Prove": {
        "parity": Entry("freeze:parity", "Does the served model do what the trained one does?"),
        "freeze": Entry("freeze:freeze", "Record the incumbent's answers before it is retired"),
        "evaluate": Entry(
            "evaluate:evaluate", "Prove a candidate against the incumbent: promote, hold, reject"
        ),
        "defer": Entry("defer:defer", "Own what is proven, rent the rest: a verdict on both together"),
        "compare": Entry("compare:compare", "A verdict from bare pairs of scores, with no model at all"),
        "label": Entry("label:label", "Say which of two answers is better, blind, to calibrate a judge"),
        "power": Entry("compare:power", "How many items are needed, or what a given number can show"),
    },
    "Shift traffic": {
        "up": Entry("up:up", "Start the gateway with this project's model behind it"),
        "routes": Entry("routes:routes", "Who answers for which model's name"),
        "keys": Entry("keys:keys", "The keys applications must show, and what each may use"),
        "rollout": Entry("rollout:rollout", "Move traffic to the candidate in steps, and back in one"),
        "watch": Entry("watch:watch", "Is the promoted model still good? Checked again and again"),
        "improve": Entry("improve:improve", "Make the promoted model better from its traffic, proven"),
        "audit": Entry("keys:audit", "Who changed what, when, from where and why"),
        "console": Entry("up:console", "Watch a rollout in the browser, and move it"),
    },
    "Coding agents": {
        "mcp": Entry("agents:mcp", "Serve this project's questions to a coding agent"),
        "skill": Entry("agents:skill", "Teach a coding agent how to use freehold"),
    },
    "This machine": {
        "trust": Entry("machine:trust", "What freehold.toml may run, read and call: ask me"),
        "doctor": Entry("machine:doctor", "What is wrong here, or soon will be, and the way out"),
        "settings": Entry("machine:settings", "List the settings of this machine and where each comes from"),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for part in PARTS.values() for name, entry in part.items()}


class LateGroup(CommandGroup):
    """A group that imports a command's file only when that command runs."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with ending.past_click():  # --help is printed here
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with ending.past_click():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        command = getattr(importlib.import_module(f"freehold.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in COMMANDS)
        for part, entries in PARTS.items():
            with formatter.section(part):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in entries.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = nearest(args[0], COMMANDS)
            hint = f"did you mean 'freehold {near}'?" if near else "freehold --help lists the commands"
            raise click.UsageError(f"no such command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=LateGroup,
    params=[verbose_option(hidden=False), version_option(), json_flag()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Move an application off a rented model API onto an open-weight model you hold, and prove it is safe.

    \b
    freehold demo                 the whole journey on a shipped example
    freehold migrate              the whole journey from your freehold.toml
    freehold COMMAND --help       one step, with examples

    Each command of a project finds its freehold.toml here or in a folder above; --config FILE names another. --set
    KEY=VALUE, also repeated, says a key of it for this run: --set task.margin=0.03.
    """
    if os.environ.get("FREEHOLD_LOG"):
        from freehold import logs

        logs.configure()


EXIT_DAMAGED = 4
"""The command did its work, without rows of the store that are damaged."""


def _tell_damage(color: bool | None) -> bool:
    """Say which damaged rows a command left out; False where there were none, or no store was opened."""
    damage = sys.modules.get("freehold.store.damage")
    count = 0 if damage is None else damage.SEEN.count()
    if damage is None or not count:
        return False
    named = [f"{row.table} {row.key}" for row in damage.SEEN.rows()[:5]]
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    rows = "1 damaged row" if count == 1 else f"{count:,} damaged rows"
    title = click.style("warning:", fg="yellow", bold=True)
    echo(f"{title} {rows} left out: {', '.join(named)}{more}", err=True, color=color)
    echo(f"{click.style('hint:', fg='cyan', bold=True)} {damage.CHECK_HINT}", err=True, color=color)
    return True


def _encodable(text: str) -> str:
    """`text` with escapes for what UTF-8 cannot hold: a name in another encoding."""
    return text.encode("utf-8", "backslashreplace").decode()


def _fail(
    message: str,
    code: str,
    exit_code: int,
    *,
    hint: str | None = None,
    retryable: bool = False,
    beside: dict[str, Any] | None = None,
) -> None:
    """The error as a document on stdout, for programs; people have been told on stderr."""
    if wants_json():
        told = {
            "message": _encodable(message),
            "hint": hint and _encodable(hint),
            "code": code,
            "exit_code": exit_code,
            "retryable": retryable,
        }
        print_error(told, **(beside or {}))


def _end_with(error: FreeholdError, color: bool | None) -> NoReturn:
    """Tell an error and its way out, and end with its exit code."""
    echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True, color=color)
    if error.hint:
        echo(f"{click.style('hint:', fg='cyan', bold=True)} {error.hint}", err=True, color=color)
    _fail(
        error.message, error.code(), error.exit_code, hint=error.hint, retryable=error.retryable,
        beside=error.told(),
    )  # fmt: skip
    sys.exit(error.exit_code)


def main() -> None:
    """Run the command line: errors become ``error:`` and ``hint:`` on stderr and an exit code; with ``--json`` they are
    a document on stdout as well.

    A command that left damaged rows of the store out says so at its end and exits with `EXIT_DAMAGED`. SIGTERM ends a
    command as Ctrl-C does, so that what it started and half wrote is put away. One whose output is no longer read
    (``| head``) ends as SIGPIPE ends programs, with 141. ``NO_COLOR`` is honoured.
    """
    try:
        _run()
    except (ending.ReaderGoneError, BrokenPipeError):
        ending.end()


def _command(color: bool | None) -> Any:
    """Run the command; where its project is not trusted yet ask on a terminal, and run it then."""
    # Outside its standalone mode click hands the code of an `Exit` back instead of ending with it.
    run = partial(cli.main, prog_name="freehold", standalone_mode=False, color=color)
    try:
        return run()
    except UntrustedError as error:
        from freehold.cli.machine import agrees

        if not agrees(error):
            raise
    return run()


def _run() -> None:
    files.keep_private()
    if sys.stdin is None:  # closed by the caller; what is asked then ends as with an empty one
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 - a device, for as long as the process lives
    color = False if os.environ.get("NO_COLOR") else None  # None: as the stream is
    ended: list[int] = []
    try:
        ending.listen(ended)
        ending.check_words(sys.argv[1:])
        code = _command(color)
        damaged = _tell_damage(color)
        if isinstance(code, int) and code:
            sys.exit(code)
        if damaged:
            sys.exit(EXIT_DAMAGED)
    except FreeholdError as error:
        _end_with(error, color)
    except click.ClickException as error:
        told = io.StringIO()
        error.show(file=told)
        echo(told.getvalue().rstrip("\n"), err=True, color=color)
        _fail(error.format_message(), "usage", 2)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as stop:
        said = str(stop) or "stopped"
        echo(said, err=True)
        exit_code = 128 + (ended or [signal.SIGINT])[0]
        _fail(said, "stopped", exit_code, retryable=True)
        sys.exit(exit_code)
    except (ending.ReaderGoneError, BrokenPipeError):
        raise
    except Exception as error:
        lacking = (
            ending.unix_error(error)
            if isinstance(error, ImportError | AttributeError)
            else ending.system_error(error)
        )
        if lacking is not None:
            _end_with(lacking, color)
        _fail(f"{type(error).__name__}: {error}", "bug", 1)
        raise
