"""The console's screens of the project itself: its settings, who may ask, who changed what, and one record."""

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
from freehold.store import audit as changes_made
from freehold.store.routes import stored_keys
from freehold.types.audit import AuditEntry
from freehold.types.config_file import ExplainedKey, explained
from freehold.types.record import Record
from freehold.types.route import ApiKey
from freehold.visible import without_password
from freehold.workflows.project import Project
from freehold.workflows.shift import keys as changes
from freehold.workflows.shift.following import waits_for_start
from freehold.workflows.shift.keys import KeyLine
from freehold.workflows.tell.views.query import Cursor, Place, ScreenQuery

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


# The console's screen of keys: who may ask the gateway, for what, and what it cost.


class KeysQuery(ScreenQuery, frozen=True, kw_only=True):
    """All keys, or with `ended` those too that were revoked or have expired."""

    ended: bool = False


class KeysScreen(Record, frozen=True, kw_only=True):
    """The keys by name. `required`: the gateway asks for one. `routes` are those a key may be narrowed to."""

    at: datetime
    keys: tuple[KeyLine, ...]
    ended: int
    required: bool
    routes: tuple[str, ...]


def keys(project: Project, store: Store, query: KeysQuery, *, at: datetime) -> KeysScreen:
    """Whose keys are in force. No secret is here: only a hash is kept, and that is not shown."""
    lines = changes.listed(store, at=at)
    in_force = [line for line in lines if line.revoked_at is None and not line.expired]
    return KeysScreen(
        at=at,
        keys=tuple(lines if query.ended else in_force),
        ended=len(lines) - len(in_force),
        required=bool(stored_keys(store.database).keys) or project.keys_file.exists(),
        routes=tuple(sorted(route.name for route in store.routes())),
    )


# The console's audit screen: who changed what, when, from where and why, newest first.

Words = Annotated[str, Meta(max_length=200)]


class AuditQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which entries; empty does not narrow. `action` may be the part before the dot: ``key``. `after` is the number of
    the last entry of the page before."""

    action: Words = ""
    who: Words = ""
    subject: Words = ""
    after: Place | None = None
    most: Annotated[int, Meta(ge=1, le=200)] = 50


class AuditScreen(Record, frozen=True, kw_only=True):
    """A page of entries, newest first; `next` is the `after` of the next page, None after the last one."""

    at: datetime
    entries: tuple[AuditEntry, ...]
    next: int | None


def audit(project: Project, store: Store, query: AuditQuery, *, at: datetime) -> AuditScreen:
    """A page of the audit record. Whether the chain is whole is for `freehold audit --check`: it reads all of it."""
    found = changes_made.newest(
        store.database,
        before=query.after,
        who=query.who or None,
        action=query.action or None,
        subject=query.subject or None,
        most=query.most + 1,
    )
    page = found[: query.most]
    return AuditScreen(at=at, entries=tuple(page), next=page[-1].number if len(found) > query.most else None)


# The console's record screen: one stored record as it is, which every figure of the other screens leads to.

BODY_MAX_BYTES = 1024**2
HIDDEN_KINDS = (ApiKey.kind,)
"""A key's record holds the hash of its secret."""


class RecordQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which record; its id, or that of a trace."""

    id: Cursor = ""


class ShownRecord(Record, frozen=True, kw_only=True):
    """A record's kind, its JSON and the ids it was made from. `body` is None where it is larger than 1 MiB."""

    kind: str
    size_bytes: int
    body: msgspec.Raw | None
    made_from: tuple[str, ...]


class RecordScreen(Record, frozen=True, kw_only=True):
    """All records of one id. `is_trace`: it is the id of a trace, which has a screen of its own."""

    id: str
    records: tuple[ShownRecord, ...]
    is_trace: bool = False


def record(project: Project, store: Store, query: RecordQuery, *, at: datetime) -> RecordScreen:
    """What the store holds under one id, whatever kind it is of."""
    found = store.of_id(query.id, without=HIDDEN_KINDS) if query.id else []
    shown = tuple(
        ShownRecord(
            kind=one.kind,
            size_bytes=len(one.body),
            body=msgspec.Raw(one.body) if len(one.body) <= BODY_MAX_BYTES else None,
            made_from=one.made_from,
        )
        for one in found
    )
    return RecordScreen(
        id=query.id, records=shown, is_trace=bool(query.id) and store.get_trace(query.id) is not None
    )
