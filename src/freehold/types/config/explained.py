"""Every key of `freehold.toml` in words, from the tables themselves: for who has the program and not its pages."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Iterator

import msgspec

from freehold.types.config.project import ProjectConfig
from freehold.types.record import Record


class ExplainedKey(Record, frozen=True, kw_only=True):
    """A key of `freehold.toml`."""

    table: str
    key: str
    meaning: str
    words: tuple[str, ...] = ()
    """What it may say, where that is a fixed set."""
    default: str | None = None
    """None where it must be said, or is nothing unless it is said."""


def explained(table: str | None = None) -> Iterator[ExplainedKey]:
    """The keys of one table, or of all, in the order of the file."""
    for field in msgspec.structs.fields(ProjectConfig):
        if table is None or field.name == table:
            for kind in _tables(field.type):
                yield from _keys(field.name, kind)


def tables() -> tuple[str, ...]:
    """The names of all tables."""
    return tuple(field.name for field in msgspec.structs.fields(ProjectConfig))


def _keys(table: str, kind: type[msgspec.Struct]) -> Iterator[ExplainedKey]:
    meanings: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if issubclass(one, msgspec.Struct) and one is not msgspec.Struct:
            meanings |= _meanings(one)
    for field in msgspec.structs.fields(kind):
        shown = field.default
        plain = isinstance(shown, str | int | float) and not isinstance(shown, bool)
        yield ExplainedKey(
            table=table,
            key=field.name,
            meaning=meanings.get(field.name, ""),
            words=tuple(_words(field.type)),
            default=str(shown).lower() if isinstance(shown, bool) else str(shown) if plain else None,
        )


def _words(annotation: object) -> Iterator[str]:
    if typing.get_origin(annotation) is typing.Literal:
        yield from map(str, typing.get_args(annotation))
    elif typing.get_origin(annotation) is not dict:
        for part in typing.get_args(annotation):
            yield from _words(part)


def _tables(annotation: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    else:
        for part in typing.get_args(annotation):
            yield from _tables(part)


def _meanings(kind: type) -> dict[str, str]:
    """The strings under the fields of a class."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, IndentationError):
        return {}
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
