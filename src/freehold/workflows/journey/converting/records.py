"""What a conversion of another tool's configuration gives."""

from __future__ import annotations

from freehold.types.record import Record


class Mapped(Record, frozen=True, kw_only=True):
    """Something of the file and what it became."""

    source: str
    """Where it stands in the file."""
    target: str
    """The table or key of `freehold.toml`."""


class Unmapped(Record, frozen=True, kw_only=True):
    """Something of the file that has no counterpart, and why, or what to do instead."""

    source: str
    why: str


class Variable(Record, frozen=True, kw_only=True):
    """An environment variable to set. `source` is where its value stands in the file, where it does."""

    name: str
    source: str | None


class ConvertedConfig(Record, frozen=True, kw_only=True):
    """A configuration of another tool as a `freehold.toml`. `path` is where it was written, None where it was only
    shown; `assumed` is what the file does not say, `commands` what is done by commands instead of by the file."""

    tool: str
    title: str
    file: str
    path: str | None
    toml: str
    mapped: tuple[Mapped, ...]
    assumed: tuple[str, ...]
    unmapped: tuple[Unmapped, ...]
    environment: tuple[Variable, ...]
    commands: tuple[str, ...]
