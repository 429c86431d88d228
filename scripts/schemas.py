"""The JSON schemas of what `--json` prints, made from the records that commands name (`freehold.cli.documents`).

`tests/cli` holds every document that a test prints against its schema.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import json
import textwrap
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from freehold.cli.documents import (
    ERROR_RECORD,
    ERROR_SCHEMA,
    VERSION_RECORD,
    VERSION_SCHEMA,
    JsonOption,
    Printed,
    schema_name,
)
from freehold.cli.main import cli

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Inventoried(msgspec.Struct):
    """A document: the words of its command, the word of its own (or ""), and what it is made of."""

    command: str
    which: str
    printed: Printed


@functools.cache
def inventory() -> dict[str, Inventoried]:
    """Every document by its schema's name and version, in the order of `freehold --help`, the error last."""
    found: dict[str, Inventoried] = {}
    for words, command in _commands(cli, cli.context_class(cli, info_name="freehold"), []):
        for option in command.params:
            if isinstance(option, JsonOption):
                for which, printed in option.printed.items():
                    name = schema_name(words, which, printed)
                    assert name not in found, f"{name} is two documents"
                    found[name] = Inventoried(" ".join(words), which, printed)
    found[VERSION_SCHEMA] = Inventoried("--version", "", Printed.of(VERSION_RECORD))
    found[ERROR_SCHEMA] = Inventoried("", "", Printed.of(ERROR_RECORD))
    return found


def commands() -> Iterator[tuple[list[str], click.Command]]:
    """Every command and subcommand with its words."""
    return _commands(cli, cli.context_class(cli, info_name="freehold"), [])


def _commands(
    group: click.Command, context: click.Context, words: list[str]
) -> Iterator[tuple[list[str], click.Command]]:
    if words:
        yield words, group
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield from _commands(
                    command, command.context_class(command, info_name=name, parent=context), [*words, name]
                )


def record_of(printed: Printed) -> type:
    """The record that a document is made of."""
    module, _, name = printed.record.partition(":")
    kind = getattr(importlib.import_module(module), name)
    assert isinstance(kind, type)
    return kind


def file_name(name: str) -> str:
    """``keys.list.json`` of ``freehold.keys.list/1``."""
    return f"{name.removeprefix('freehold.').partition('/')[0]}.json"


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """The schema of one document, whole in itself."""
    printed = inventory()[name].printed
    kind = record_of(printed)
    (body,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    structs = _structs(kind)
    for title, definition in components.items():
        _as_printed(definition, structs.get(definition.get("title", title)))
    root: dict[str, Any] = {"$schema": DIALECT, "$id": name, "title": name}
    naming = {"const": name, "description": "This schema's name and version."}
    if printed.is_list:
        items = {"type": "array", "items": body}
        root |= {
            "type": "object",
            "properties": {"schema": naming, "items": items},
            "required": ["schema", "items"],
        }
    else:
        own = components[body["$ref"].rpartition("/")[2]]
        assert "schema" not in own["properties"], f"{kind.__name__} has a field named schema"
        root |= {key: value for key, value in own.items() if key != "title"}
        root["properties"] = {"schema": naming, **own["properties"]}
        root["required"] = ["schema", *own.get("required", ())]
    root["$defs"] = {title: components[title] for title in sorted(_used(root, components))}
    if not root["$defs"]:
        del root["$defs"]
    return root


def text(name: str) -> str:
    """The schema as its file holds it."""
    return json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n"


PAGE = """# JSON

<!-- Made by scripts/docs from the source; edit that instead, then run it. -->

A command with `--json` prints one JSON object on stdout, and what is for people (progress, warnings, errors) on stderr.

- `schema` comes first and names the object's schema and its version, as `freehold.compare/1`. The fields of the record
  stand beside it; a list stands under `items`.
- A command that another option turns into another one (`--dry-run`, `--history`) prints another schema.
- A command that goes on (`watch`, `rollout status --follow`) prints one object after the other, as `jq` reads them.
  `license rule --cases` prints an object a line.
- Without it are `console` (a page), `license init` (questions) and `license bom` (CycloneDX, which is JSON of its own).
- The exit code says how it ended, as without `--json`. Verdicts that are not good news (3 for *hold*) are no errors.
- What ended with an error prints `freehold.error/1`, also where the command line was not understood: on its own, or
  behind what was printed before it. `code` is the kind of error, as [Errors](errors.md) lists them, or `usage` (of the
  command line), `stopped` (Ctrl-C, SIGTERM) or `bug` (the traceback is on stderr). `lock` and `preflight` stand beside
  `error` where they are what it is about.

      {"schema": "freehold.error/1", "error": {"message": "no dataset yet", "hint": "freehold dataset build",
       "code": "usage", "exit_code": 2, "retryable": false}}

**Versions.** Within a version fields are added, and closed lists of words (`enum`) get more words: let a reader pass
over both. From the first release on, a field that goes, may be absent or takes another type is a new version. The tests
of freehold hold every document that they print against its schema.

Schemas are JSON Schema 2020-12, one file for each, whole in itself. Numbers that cannot be computed are null; exact
amounts of money are text; times are UTC as RFC 3339 writes them.

| command | schema | prints |
|---|---|---|
"""


def page() -> str:
    """`docs/reference/json.md`."""
    lines = []
    for name, one in inventory().items():
        kind = record_of(one.printed)
        about = _plain(inspect.cleandoc(kind.__doc__ or "")).split(". ")[0].rstrip(".")
        told = f"`{kind.__name__}`: {about}" if about else f"`{kind.__name__}`"
        command = f"`freehold {one.command}`" if one.command else "any, on an error"
        many = "a list of " if one.printed.is_list else ""
        lines.append(
            f"| {command} | [`{name}`](schemas/{file_name(name)}) | {many}{told} |".replace("  ", " ")
        )
    return PAGE + "\n".join(lines) + "\n"


def _used(root: dict[str, Any], components: dict[str, Any]) -> set[str]:
    """Definitions that are reached; the root's own stands in the root unless something else has one inside."""
    used: set[str] = set()
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            title = str(node.get("$ref", "")).rpartition("/")[2]
            if title and title not in used:
                used.add(title)
                waiting.append(components[title])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return used


def _as_printed(definition: dict[str, Any], kind: type | None) -> None:
    """What msgspec says of what it would read, turned into what it writes: every field is there, none has a default."""
    if "properties" not in definition:
        return
    definition.pop("additionalProperties", None)  # a later version of freehold may print more
    defaults_left_out = kind is not None and kind.__struct_config__.omit_defaults
    if not defaults_left_out:
        definition["required"] = list(definition["properties"])
    _shorten(definition)
    told = {} if kind is None else _attribute_docs(kind)
    if "description" in definition:
        definition["description"] = _plain(definition["description"])
    for field, node in definition["properties"].items():
        node.pop("default", None)
        if field in told and "$ref" not in node:
            node.setdefault("description", told[field])


def _shorten(node: Any) -> None:
    """Alternatives of which each is nothing but a type become one list of types."""
    if isinstance(node, list):
        for one in node:
            _shorten(one)
    elif isinstance(node, dict):
        for one in node.values():
            _shorten(one)
        ways = node.get("anyOf")
        if isinstance(ways, list) and all(
            set(way) == {"type"} and isinstance(way["type"], str) for way in ways
        ):
            del node["anyOf"]
            node["type"] = [way["type"] for way in ways]


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


@functools.cache
def _attribute_docs(kind: type) -> dict[str, str]:
    """The strings under a record's fields and those of its bases, by the field's name in JSON."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not issubclass(base, msgspec.Struct) or base is msgspec.Struct:
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        except (OSError, TypeError, IndentationError):
            continue
        for field, said in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(said, ast.Expr)
                and isinstance(said.value, ast.Constant)
                and isinstance(said.value.value, str)
            ):
                found[field.target.id] = _plain(said.value.value)
    names = {one.name: one.encode_name for one in msgspec.structs.fields(kind)}
    return {names.get(name, name): said for name, said in found.items()}


@functools.cache
def _structs(kind: type) -> dict[str, type]:
    """Every struct a record is made of, by its name."""
    found: dict[str, type] = {}
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.StructType):
            found[node.cls.__name__] = node.cls
            waiting.extend(field.type for field in node.fields)
        else:
            for name in getattr(node, "__struct_fields__", ()):
                value = getattr(node, name)
                waiting.extend(value if isinstance(value, tuple) else [value])
    return found
