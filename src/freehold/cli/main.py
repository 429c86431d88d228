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
from freehold.cli import ending, reading
from freehold.cli.output import echo, wants_json
from freehold.cli.system import check_words, system_error, unix_error
from freehold.cli.version import json_flag, version_option
from freehold.errors import FreeholdError, UntrustedError, nearest

reading.install()


class Entry(NamedTuple):
    """One command: where it lives and the line shown in the overview."""

    target: str
    summary: str


# Parts in the order of the journey; within a part, commands in the order one meets them.
PARTS: dict[str, dict[str, Entry]] = {
    "The whole journey": {
        "demo": Entry("freehold.cli.journey.demo:command", "Run the whole journey on a shipped example"),
        "init": Entry(
            "freehold.cli.journey.init:command", "Write a first freehold.toml from what your log tells"
        ),
        "import-config": Entry(
            "freehold.cli.journey.import_config:command",
            "Convert LiteLLM's configuration to a freehold.toml",
        ),
        "status": Entry("freehold.cli.journey.status:command", "Where am I, and what next?"),
        "migrate": Entry(
            "freehold.cli.journey.migrate:command", "Run the whole journey from your freehold.toml"
        ),
        "rescue": Entry(
            "freehold.cli.journey.rescue:command", "My fine-tuned GPT stops on a date: what now?"
        ),
        "report": Entry("freehold.cli.journey.report:command", "Write the page that tells it all"),
        "down": Entry("freehold.cli.journey.down:command", "Stop what migrate or demo left running"),
    },
    "Your traffic, as data": {
        "import": Entry("freehold.cli.data.imports:command", "Bring logged traffic in as traces"),
        "tasks": Entry(
            "freehold.cli.data.tasks:command", "Which tasks are in a log, and which to move first"
        ),
        "traces": Entry("freehold.cli.data.traces:command", "Look at traces, and export them"),
        "store": Entry("freehold.cli.data.store:command", "Check, back up and restore the store"),
        "forget": Entry(
            "freehold.cli.data.forget:command", "Delete a person's words, wherever they are here"
        ),
        "dataset": Entry("freehold.cli.data.dataset:command", "Turn traces into an immutable dataset"),
    },
    "Choose": {
        "scan": Entry(
            "freehold.cli.choose.scan:command", "Where does my code use rented models, and until when?"
        ),
        "retirements": Entry(
            "freehold.cli.choose.retirements:command", "When is the model I pay for shut down?"
        ),
        "license": Entry(
            "freehold.cli.choose.license:command", "May I use this model for this, and what must I do?"
        ),
        "assess": Entry(
            "freehold.cli.choose.assess:command", "Which open models may I use, can I run, do what I need"
        ),
        "fit": Entry(
            "freehold.cli.choose.fit:command", "Say whether a model fits on a machine, and what the most is"
        ),
        "quants": Entry(
            "freehold.cli.choose.quants:command", "Which quantization of a model to take here, and why"
        ),
        "bench-model": Entry(
            "freehold.cli.choose.fit:bench_model", "Measure how fast a model is on this machine"
        ),
        "cost": Entry("freehold.cli.choose.cost:command", "Leave or stay, as far as money goes"),
        "catalog": Entry(
            "freehold.cli.choose.catalog:command", "The models freehold knows, and what is new on a hub"
        ),
    },
    "Train": {
        "train": Entry("freehold.cli.train.train:command", "Train an adapter on a dataset"),
        "adapters": Entry("freehold.cli.train.trained:adapters", "List, export and remove adapters"),
        "encoders": Entry("freehold.cli.train.trained:encoders", "List, export and remove trained encoders"),
    },
    "Serve": {
        "pull": Entry("freehold.cli.serve.pull:command", "Fetch the weights of a model and check their hash"),
        "weights": Entry("freehold.cli.serve.pull:weights_group", "List and remove weights that are here"),
        "engines": Entry(
            "freehold.cli.serve.engines:command", "List engines, and build llama.cpp for this CPU"
        ),
        "serve": Entry(
            "freehold.cli.serve.serve:command", "Serve a model and its adapters, each by its name"
        ),
        "cluster": Entry("freehold.cli.serve.cluster:command", "Serve one plan on several machines"),
        "load": Entry("freehold.cli.serve.load:command", "How an endpoint does under load"),
    },
    "Prove": {
        "parity": Entry(
            "freehold.cli.prove.parity:command", "Does the served model do what the trained one does?"
        ),
        "freeze": Entry(
            "freehold.cli.prove.freeze:command", "Record the incumbent's answers before it is retired"
        ),
        "evaluate": Entry(
            "freehold.cli.prove.evaluate:command",
            "Prove a candidate against the incumbent: promote, hold, reject",
        ),
        "defer": Entry(
            "freehold.cli.prove.defer:command", "Own what is proven, rent the rest: a verdict on the mixture"
        ),
        "compare": Entry(
            "freehold.cli.prove.compare:command", "A verdict from bare pairs of scores, with no model at all"
        ),
        "label": Entry(
            "freehold.cli.prove.label:command",
            "Say which of two answers is better, blind, to calibrate a judge",
        ),
        "power": Entry(
            "freehold.cli.prove.power:command", "How many items are needed, or what a given number can show"
        ),
    },
    "Shift traffic": {
        "up": Entry("freehold.cli.shift.up:command", "Start the gateway with this project's model behind it"),
        "routes": Entry("freehold.cli.shift.routes:command", "Who answers for which model's name"),
        "keys": Entry(
            "freehold.cli.shift.keys:command", "The keys applications must show, and what each may use"
        ),
        "rollout": Entry(
            "freehold.cli.shift.rollout:command", "Move traffic to the candidate in steps, and back in one"
        ),
        "watch": Entry(
            "freehold.cli.shift.watch:command", "Is the promoted model still good? Checked again and again"
        ),
        "audit": Entry("freehold.cli.shift.audit:command", "Who changed what, when, from where and why"),
        "console": Entry("freehold.cli.shift.console:command", "Watch a rollout in the browser, and move it"),
    },
    "Coding agents": {
        "mcp": Entry("freehold.cli.agents.mcp:command", "Serve this project's questions to a coding agent"),
        "skill": Entry("freehold.cli.agents.skill:command", "Teach a coding agent how to use freehold"),
    },
    "This machine": {
        "trust": Entry("freehold.cli.trust:command", "What freehold.toml may run, read and call: ask me"),
        "doctor": Entry(
            "freehold.cli.machine:doctor", "What is wrong here, or soon will be, and the way out"
        ),
        "settings": Entry(
            "freehold.cli.machine:settings",
            "List the settings of this machine and where each comes from",
        ),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for part in PARTS.values() for name, entry in part.items()}


def _listen(ctx: click.Context, option: click.Parameter, times: int) -> None:
    """Log what was asked for, here and in every process started from here."""
    if times:
        from freehold import logs

        logs.add("info" if times == 1 else "debug")
        logs.configure()


def _verbose(*, hidden: bool) -> click.Option:
    return click.Option(
        ["-v", "--verbose"],
        count=True,
        expose_value=False,
        callback=_listen,
        hidden=hidden,
        help="Log what starts, stops and is retried, before or after COMMAND; -vv logs more.",
    )


def _listenable(command: click.Command) -> None:
    """Let `-v` stand after a command's name as well, and after those of its subcommands; the help of `freehold` says
    so once."""
    if not any("--verbose" in parameter.opts for parameter in command.params):
        command.params.append(_verbose(hidden=True))
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _listenable(part)


class LateGroup(click.Group):
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
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        _listenable(command)
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
    params=[_verbose(hidden=False), version_option(), json_flag()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Move an application off a rented model API onto an open-weight model you hold, and prove it is safe.

    \b
    freehold demo                 the whole journey on a shipped example
    freehold migrate              the whole journey from your freehold.toml
    freehold COMMAND --help       one step, with examples
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
        from freehold.cli.options import print_error

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
        from freehold.cli import trust

        if not trust.agrees(error):
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
        check_words(sys.argv[1:])
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
            unix_error(error) if isinstance(error, ImportError | AttributeError) else system_error(error)
        )
        if lacking is not None:
            _end_with(lacking, color)
        _fail(f"{type(error).__name__}: {error}", "bug", 1)
        raise
