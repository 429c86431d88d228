"""What `--json` prints: objects that name their schema, `docs/reference/json.md` in words; and `freehold --version`.

A command names the record that it prints, ``@operation("report", "freehold.types.report:Report")``, and does not import
it, so that ``--help`` stays fast. Its schema is made of it by ``scripts/docs``.
"""

from __future__ import annotations

import platform
import re
from importlib import metadata
from typing import Any, NamedTuple

import click
import msgspec

from freehold import __version__
from freehold.cli.output import echo, json_escaped, wants_json
from freehold.types.record import Record

PROGRAM = "cli"
"""How the group of all commands is called in the source; what was typed to start it may be anything."""

ERROR_SCHEMA = "freehold.error/1"
ERROR_RECORD = "freehold.cli.printed:ErrorDocument"

VERSION_SCHEMA = "freehold.version/1"
VERSION_RECORD = "freehold.cli.documents:VersionDocument"


class VersionDocument(Record, frozen=True, kw_only=True):
    """What `freehold --version --json` says: the versions, the system, and which extras are installed whole."""

    version: str
    python: str
    system: str
    extras: dict[str, bool]


class Printed(NamedTuple):
    """One document of a command: the `record` it is made of, whether it is a list of them, and its version."""

    record: str
    is_list: bool
    version: int

    @classmethod
    def of(cls, text: str) -> Printed:
        """From ``module:Record``, ``module:Record[]`` for a list, and ``/2`` behind it after a change that breaks."""
        record, _, version = text.partition("/")
        return cls(record.removesuffix("[]"), record.endswith("[]"), int(version or 1))


class JsonOption(click.Option):
    """``--json`` of one command, with what it prints: under "" without a word more, else under the word's name."""

    def __init__(self, printed: dict[str, Printed]) -> None:
        super().__init__(["--json", "as_json"], is_flag=True, help="Print JSON.")
        self.printed = printed

    def schema(self, context: click.Context, which: str = "") -> str:
        """The schema's name and version, as ``freehold.keys.list/1``."""
        words: list[str] = []
        at: click.Context | None = context
        while at is not None and at.command.name != PROGRAM:
            words.insert(0, at.info_name or "")
            at = at.parent
        return schema_name(words, which, self.printed[which])


def schema_name(words: list[str], which: str, printed: Printed) -> str:
    """Of the document `which` of the command that `words` name."""
    return f"{'.'.join(['freehold', *words, *([which] if which else [])])}/{printed.version}"


def current_schema(which: str = "") -> str:
    """The schema of what the running command prints under `which`."""
    context = click.get_current_context()
    option = next(one for one in context.command.params if isinstance(one, JsonOption))
    return option.schema(context, which)


def document(value: Any, schema: str) -> bytes:
    """`value` as one JSON object: a record's fields behind the name of its `schema`, a list under `items`."""
    body = msgspec.json.encode(value)
    head = b'{"schema":' + msgspec.json.encode(schema)
    if body.startswith(b"["):
        return head + b',"items":' + body + b"}"
    assert body.startswith(b"{"), "what --json prints is a record or a list of records"
    return head + (b"}" if body == b"{}" else b"," + body[1:])


def print_json(value: Any, which: str = "", *, one_line: bool = False) -> None:
    """The running command's document on stdout, the one that it calls `which`; what could steer a
    terminal is escaped in it. Indented, unless `one_line`, where there are many."""
    made = document(value, current_schema(which))
    echo(json_escaped((made if one_line else msgspec.json.format(made)).decode()), whole=True)


def print_error(told: dict[str, Any], **beside: Any) -> None:
    """The error that ended a command, as a document on stdout."""
    made = document({"error": told, **beside}, ERROR_SCHEMA)
    echo(json_escaped(msgspec.json.format(made).decode()), whole=True)


def print_foreign_json(value: Any) -> None:
    """One indented JSON document of a format that others have laid down."""
    echo(json_escaped(msgspec.json.format(msgspec.json.encode(value)).decode()), whole=True)


def version_option() -> click.Option:
    """``--version``; eager, so that nothing else has to be right."""
    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show,
        help="Show the version and exit; with --json also Python, system and extras.",
    )


def json_flag() -> click.Option:
    """``--json`` in front of a command, where only `--version` takes it."""
    return click.Option(["--json"], is_flag=True, hidden=True, expose_value=False, callback=_refuse)


def _show(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    if wants_json():
        made = document(version_document(), VERSION_SCHEMA)
        echo(msgspec.json.format(made).decode(), whole=True)
    else:
        echo(f"freehold, version {__version__}")
    context.exit()


def _refuse(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        raise click.UsageError("--json goes behind a command's name, or with --version")


def version_document() -> VersionDocument:
    return VersionDocument(
        version=__version__,
        python=platform.python_version(),
        system=platform.platform(terse=True),
        extras=installed_extras(),
    )


def installed_extras() -> dict[str, bool]:
    """Each extra, and whether every package that it asks for on every system is here; empty where freehold itself was
    not installed as a package."""
    try:
        wanted = metadata.requires("freehold") or []
    except metadata.PackageNotFoundError:
        return {}
    whole: dict[str, bool] = {}
    parts: dict[str, list[str]] = {}
    for text in wanted:
        requirement, _, marker = text.partition(";")
        extra = re.fullmatch(r"\s*extra\s*==\s*['\"]([\w.-]+)['\"]\s*", marker)
        name = re.match(r"([\w.-]+)(?:\[([^\]]*)\])?", requirement.strip())
        if extra is not None and name is not None:
            own = name[1] == "freehold"
            whole[extra[1]] = whole.get(extra[1], True) and (own or _is_here(name[1]))
            parts.setdefault(extra[1], []).extend(re.split(r"[\s,]+", name[2]) if own and name[2] else [])

    def is_whole(extra: str) -> bool:
        return whole.get(extra, False) and all(is_whole(part) for part in parts[extra])

    return {extra: is_whole(extra) for extra in sorted(whole)}


def _is_here(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
