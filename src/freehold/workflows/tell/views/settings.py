"""The console's settings screen: what the project's file and the environment say, and what is the default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.settings import SETTINGS
from freehold.store import Store
from freehold.types.config_file import ExplainedKey, explained
from freehold.types.record import Record
from freehold.visible import without_password
from freehold.workflows.project import Project
from freehold.workflows.shift.following import waits_for_start
from freehold.workflows.tell.views.query import ScreenQuery

Source = Literal["file", "environment", "default"]
VALUE_MAX = 300


class SettingsQuery(ScreenQuery, frozen=True, kw_only=True):
    """Only what has these words in its name or its meaning; empty does not narrow."""

    find: Annotated[str, Meta(max_length=100)] = ""


class SettingValue(Record, frozen=True, kw_only=True):
    """One value and where it comes from. `name` is `[table] key` of the file or a variable of the environment.
    `restart`: a gateway that runs takes a change only at its next start. Passwords in addresses are not shown."""

    name: str
    value: str | None
    source: Source
    meaning: str
    restart: bool
    words: tuple[str, ...] = ()


class SettingsScreen(Record, frozen=True, kw_only=True):
    """Values of the file (`file` None where there is none) and of the environment. `unread` says why the file as it is
    now on the disk cannot be read; none of its values is shown then."""

    at: datetime
    file: str | None
    unread: str | None
    project: tuple[SettingValue, ...]
    machine: tuple[SettingValue, ...]


def settings(project: Project, store: Store, query: SettingsQuery, *, at: datetime) -> SettingsScreen:
    """What is set here, and where."""
    given: dict[str, Any] = {}
    unread = None
    if project.config_path is not None:
        try:
            given = tomllib.loads(project.config_path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            unread = str(error)
    return SettingsScreen(
        at=at,
        file=None if project.config_path is None else str(project.config_path),
        unread=unread,
        project=tuple(_found(project_lines(given), query.find)),
        machine=tuple(_found(machine_lines(os.environ), query.find)),
    )


def _found(lines: Iterator[SettingValue], words: str) -> Iterator[SettingValue]:
    wanted = words.casefold().split()
    return (
        line for line in lines if all(word in f"{line.name} {line.meaning}".casefold() for word in wanted)
    )


def project_lines(given: Mapping[str, Any]) -> Iterator[SettingValue]:
    """The keys of the file, those that stand in it first within their table."""
    for key in sorted(explained(), key=lambda key: not _stands(given, key)):
        table = given.get(key.table)
        rows = table if isinstance(table, list) else [table]
        values = [row[key.key] for row in rows if isinstance(row, dict) and key.key in row]
        for value in values or [None]:
            yield SettingValue(
                name=f"[{key.table}] {key.key}",
                value=key.default if value is None else _shown(value),
                source="default" if value is None else "file",
                meaning=key.meaning,
                restart=waits_for_start(key.table, key.key),
                words=key.words,
            )


def machine_lines(environment: Mapping[str, str]) -> Iterator[SettingValue]:
    """The variables of the environment; a process reads them when it starts."""
    for setting in SETTINGS:
        value = environment.get(setting.variable)
        default = None if setting.default is None else str(setting.default)
        yield SettingValue(
            name=setting.variable,
            value=default if value is None else _shown(value),
            source="default" if value is None else "environment",
            meaning=setting.help,
            restart=True,
        )


def _stands(given: Mapping[str, Any], key: ExplainedKey) -> bool:
    table = given.get(key.table)
    return any(
        isinstance(row, dict) and key.key in row for row in (table if isinstance(table, list) else [table])
    )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = without_password(text)
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}…"
