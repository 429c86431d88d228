"""Stores as released versions left them, with data in every table they had."""

import sqlite3

import msgspec
import zstandard
from alembic import command
from alembic.config import Config
from tests.store.examples import NOON, Note, trace

from freehold.store import bodies, schema
from freehold.store.database import Database
from freehold.store.tables import to_micros
from freehold.types.route import Route, Target

RELEASED = ("0001", "0002", "0003", "0006")
TRACES = [trace(number, id=f"t{number}") for number in range(20)]
ROUTE = Route(name="r", model="m", incumbent=Target(endpoint="e"), revision=1)


def plant(path, version, monkeypatch):
    """A SQLite store of schema `version` at `path`, with rows written as that version wrote them."""

    def to_version(connection, where):
        config = Config()
        config.set_main_option("script_location", str(schema.MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, version)

    with monkeypatch.context() as patched:
        patched.setattr(schema, "upgrade", to_version)
        Database(f"sqlite:///{path}").close()
    connection = sqlite3.connect(path)
    packed = [zstandard.ZstdCompressor(level=1).compress(msgspec.json.encode(one)) for one in TRACES]
    connection.executemany(
        "INSERT INTO traces (id, at, source, model, completeness, body) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (o.id, to_micros(o.at), o.source, o.model, o.completeness, b)
            for o, b in zip(TRACES, packed, strict=True)
        ],
    )
    note, route = msgspec.json.encode(Note(text="first")), msgspec.json.encode(ROUTE)
    insert = "INSERT INTO records (kind, id, body, made_from) VALUES (?, ?, ?, ?)"
    connection.execute(insert, ("note", "a", note, b'["traces:x"]'))
    connection.execute(insert, ("step:import", "h", note, b"[]"))
    micros = to_micros(NOON)
    connection.execute("INSERT INTO steps VALUES ('import', 'h', ?, ?)", (b'{"record":"h"}', micros))
    connection.execute("INSERT INTO routes VALUES ('r', 1, ?)", (route,))
    connection.execute("INSERT INTO route_history VALUES (1, 'r', ?, 'ada', '', NULL, ?)", (micros, route))
    connection.execute("INSERT INTO route_history VALUES (2, 's', ?, 'ada', 'gone', NULL, NULL)", (micros,))
    connection.execute("INSERT INTO counters VALUES ('routes', 2)")
    if version >= "0002":
        connection.execute("INSERT INTO usage_windows VALUES ('key:app', 5, 6, 7)")
    if version >= "0003":
        connection.execute("UPDATE traces SET size_bytes = length(body)")
        connection.execute("INSERT INTO spending VALUES ('key:app', '2026-03-01', 12)")
        connection.execute("INSERT INTO rollout_states VALUES ('o', 1, x'7b7d')")
        window = ("o", "pair", "ada", 0, 1, 1, b"{}")
        connection.execute("INSERT INTO rollout_windows VALUES (?, ?, ?, ?, ?, ?, ?)", window)
        connection.execute("INSERT INTO pair_scores VALUES ('o', 't1', x'31')")
    connection.commit()
    connection.close()
    assert not bodies.is_sealed(packed[0])
