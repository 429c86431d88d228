"""The manual page freehold(1), made from the commands as click knows them. In the macros of man(7)."""

import inspect
import re

import click

from freehold import __version__
from freehold.cli.main import PARTS, cli
from freehold.settings import SETTINGS

SHOWN = {"terminal_width": 100, "max_content_width": 100, "help_option_names": ["-h", "--help"]}
EXITS = (
    ("0", "promote, or done"),
    ("1", "reject; or the check found something"),
    ("2", "something was wrong with the request"),
    ("3", "hold"),
    ("4", "done, without damaged rows of the store"),
)


def page() -> str:
    """The whole page as roff."""
    root = click.Context(cli, info_name="freehold", **SHOWN)
    lines = [
        '.\\" Made by scripts/docs from the source; edit that instead, then run it.',
        f'.TH FREEHOLD 1 "" "freehold {__version__}" "User Commands"',
        ".SH NAME",
        "freehold \\- move an application off a rented model API, and prove that the move is safe",
        ".SH SYNOPSIS",
        ".B freehold",
        ".RI [ OPTIONS ]\n.I COMMAND\n.RI [ ARGUMENTS ]",
        ".SH DESCRIPTION",
        *prose(cli),
        ".SH OPTIONS",
        *options(cli, root),
        ".SH COMMANDS",
    ]
    for part, entries in PARTS.items():
        lines += [f".SS {text(part)}"]
        for name in entries:
            command = cli.get_command(root, name)
            assert command is not None
            lines += described(command, click.Context(command, info_name=name, parent=root, **SHOWN))
    lines += [".SH ENVIRONMENT"]
    for setting in SETTINGS:
        lines += [".TP", f".B {text(setting.variable)}", text(setting.help)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXITS:
        lines += [".TP", f".B {code}", text(meaning)]
    lines += [
        ".SH FILES",
        ".TP",
        ".I freehold.toml",
        "what a project is: the model it pays for, its task, its candidates, its routes",
        ".TP",
        ".I .freehold",
        "next to it: the project's store, keys, datasets, adapters and logs",
    ]
    return "\n".join(lines) + "\n"


def described(command: click.Command, context: click.Context) -> list[str]:
    """One command and those below it."""
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [".TP", f".B {text(context.command_path)} {text(usage)}".rstrip(), *(prose(command) or ["\\&"])]
    if found := options(command, context):
        lines += [".RS", *found, ".RE"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                lines += described(inner, click.Context(inner, info_name=name, parent=context, **SHOWN))
    return lines


def prose(command: click.Command) -> list[str]:
    """The help text: paragraphs, and examples as they stand."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if paragraph.startswith("\b"):
            lines += [".PP", ".nf", *(text(line) for line in paragraph.lstrip("\b\n").splitlines()), ".fi"]
        elif paragraph.strip():
            lines += [*([".PP"] if lines else []), text(" ".join(paragraph.split()))]
    return lines


def options(command: click.Command, context: click.Context) -> list[str]:
    """Each option with its help."""
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [".TP", f".B {text(record[0])}", text(" ".join(record[1].split())) or "\\&"]
    return lines


def text(words: str) -> str:
    """Text as roff takes it: hyphens that can be copied, no request at a line's start."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
