"""What `--json` prints: objects that name their schema, `docs/reference/json.md` in words.

A command says what it prints in one line, ``@json_option("freehold.types.report:Report")``. The record is named and not
imported, so that ``--help`` stays fast. Its schema is made of it by ``scripts/docs``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from freehold.types.record import Record

F = TypeVar("F", bound=Callable[..., Any])

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

    printed: dict[str, Printed]

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


def json_option(printed: str, **others: str) -> Callable[[F], F]:
    """``--json``: print a record instead of text for people; which one, says `printed` (see `Printed.of`).

    `others` are documents that the command prints instead where another option asks for it, each by a word that
    becomes part of its schema's name.
    """

    if callable(printed):
        raise TypeError('say what is printed: @json_option("module:Record"), "module:Record[]" for a list')

    def with_option(command: F) -> F:
        made = click.option("--json", "as_json", is_flag=True, cls=JsonOption, help="Print JSON.")(command)
        option = made.__click_params__[-1]  # type: ignore[attr-defined]
        option.printed = {name: Printed.of(text) for name, text in {"": printed, **others}.items()}
        return made

    return with_option


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
