"""Checks of the project: its configuration, its keys, its port, the facts it relies on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from freehold.catalog.freshness import PartAge, ages
from freehold.catalog.retirements import retirement_of
from freehold.engines.supervisor import is_loopback
from freehold.errors import FreeholdError, KeysUnavailableError
from freehold.gateway.limits import key_requirement
from freehold.store import database
from freehold.store.database import store_file
from freehold.store.records import decoded
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.record import Record
from freehold.types.rollout import RouteAlarm
from freehold.types.route import ApiKey
from freehold.workflows.doctor.leftovers import look_at_leftovers
from freehold.workflows.doctor.site import Site
from freehold.workflows.doctor.store import rows_of
from freehold.workflows.shift.alarms import Incident, incidents

SOON_DAYS = 90


class ConfigFacts(Record, frozen=True, kw_only=True):
    """What `freehold.toml` and the environment say. `problems` are messages and hints."""

    file: str | None
    problems: tuple[tuple[str, str | None], ...] = ()
    missing_variables: dict[str, str] = {}
    missing_files: tuple[str, ...] = ()


def look_at_config(site: Site) -> ConfigFacts:
    path = None if site.config_path is None else str(site.config_path)
    problems = tuple((problem.message, problem.hint) for problem in site.problems)
    config = site.config
    if config is None or path is None:
        return ConfigFacts(file=path, problems=problems)
    named = {f"[[endpoints]] {one.name}": one.api_key_env for one in config.endpoints}
    named["[watch]"] = config.watch.webhook_env
    if config.incumbent is not None:
        named["[incumbent]"] = config.incumbent.api_key_env
    wanted = [*config.data.files, *config.data.held_out_files, config.serve.tls_cert, config.serve.tls_key]
    return ConfigFacts(
        file=path,
        problems=problems,
        missing_variables={
            where: name for where, name in named.items() if name is not None and not os.environ.get(name)
        },
        missing_files=tuple(
            name for name in wanted if name and not (site.root / Path(name).expanduser()).exists()
        ),
    )


def judge_config(facts: ConfigFacts) -> Iterator[Finding]:
    """A file that is read, and what it names is there."""
    for message, hint in facts.problems:
        yield fail("configuration", message, hint or "freehold settings --keys explains every key of it")
    for where, name in facts.missing_variables.items():
        yield warn(
            "configuration",
            f"{where} takes its key from {name}, which is not set in this environment",
            f"export {name}=…  before the gateway starts",
        )
    for name in facts.missing_files:
        yield warn(
            "configuration",
            f"{name} is named in {facts.file} and is not there",
            "put it there, or name another",
        )
    if facts.problems or facts.missing_variables or facts.missing_files:
        return
    yield ok("configuration", facts.file or "no freehold.toml here or above: the defaults hold")


class KeyFacts(Record, frozen=True, kw_only=True):
    """Who may ask. `in_force` and `expired` are names; `unknown` says why the keys could not be read, `refused` why the
    gateway does not believe this store's."""

    host: str
    tls: bool
    in_force: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    ended: int = 0
    required: bool = False
    """Whether the project says, outside the store, that keys are asked for."""
    unknown: str | None = None
    refused: tuple[str, str] | None = None
    """What is the matter, and the way out."""


def look_at_keys(site: Site) -> KeyFacts:
    tls = site.config is not None and site.config.serve.tls_cert is not None
    host = site.settings.host
    required = False
    try:
        required = _required(site)
        rows = rows_of(site, "SELECT id, body FROM records WHERE kind = 'api_key'")
        keys = [decoded(body, ApiKey, "api_key", "records", f"api_key/{name}") for name, body in rows]
    except KeysUnavailableError as error:
        return KeyFacts(host=host, tls=tls, refused=(error.message, error.hint or ""))
    except FreeholdError as error:
        return KeyFacts(host=host, tls=tls, unknown=error.message)
    live = [key for key in keys if key.revoked_at is None]
    expired = [key.name for key in live if _expired(key, site.now)]
    return KeyFacts(
        host=host,
        tls=tls,
        in_force=tuple(key.name for key in live if key.name not in expired),
        expired=tuple(expired),
        ended=len(keys) - len(live),
        required=required,
    )


def _required(site: Site) -> bool:
    """Whether the project requires keys, as every gateway of it finds out before it starts.

    Raises `KeysUnavailableError` where it does and this store is not the one that held them, `StoreError` for a store
    that cannot be read.
    """
    kept = site.state / key_requirement.KEYS_FILE
    key_requirement.check_file(kept, _file_of(site))
    known = key_requirement.read(kept)
    if known is None:
        return False
    facts = dict(rows_of(site, "SELECT name, value FROM store_facts"))
    changes = dict(rows_of(site, "SELECT name, value FROM counters")).get(database.KEYS, 0)
    key_requirement.check_store(known, store_id=facts.get("id", ""), changes=changes)
    return True


def _file_of(site: Site) -> Path | None:
    try:
        return store_file(site.store_url)
    except FreeholdError:  # the check of the store says what is wrong with its address
        return None


def _expired(key: ApiKey, now: datetime) -> bool:
    ends = getattr(key, "expires_at", None)
    return isinstance(ends, datetime) and ends <= now


def judge_keys(facts: KeyFacts) -> Iterator[Finding]:
    """An address that others reach asks for keys, and over TLS."""
    exposed = not is_loopback(facts.host)
    if facts.refused is not None:
        message, way_out = facts.refused
        yield fail("keys", f"no client gets in: {message}", way_out)
        return
    if facts.unknown is not None:
        yield warn("keys", f"they cannot be read: {facts.unknown}", "freehold store check")
        return
    if facts.expired:
        yield warn(
            "keys",
            f"{', '.join(facts.expired)} expired: the gateway refuses what still uses them",
            "freehold keys add NAME, then freehold keys revoke the old one",
        )
    if facts.in_force:
        if exposed and not facts.tls:
            yield warn(
                "keys",
                f"{facts.host} is reached from other machines without TLS: keys can be read on the way",
                "freehold up --tls-cert FILE --tls-key FILE, or a proxy with TLS in front",
            )
        count = "1 key is" if len(facts.in_force) == 1 else f"{len(facts.in_force)} keys are"
        yield ok(
            "keys", f"{count} in force: {', '.join(facts.in_force[:5])}{' …' * (len(facts.in_force) > 5)}"
        )
    elif facts.expired or facts.ended or facts.required:
        yield warn(
            "keys", "none is in force, and keys are asked for: no client gets in", "freehold keys add NAME"
        )
    elif exposed:
        yield fail(
            "keys",
            f"the gateway listens on {facts.host} without keys: every machine that reaches it may ask, and spend",
            "freehold keys add NAME",
        )
    else:
        yield ok(
            "keys", f"none: every program on this machine may ask ({facts.host} is reached from here only)"
        )


class PortFacts(Record, frozen=True, kw_only=True):
    """Whether something listens on the gateway's port, and the addresses of what freehold runs here."""

    host: str
    port: int
    taken: bool
    own: tuple[str, ...]


def look_at_port(site: Site) -> PortFacts:
    host = site.settings.host if is_loopback(site.settings.host) else "127.0.0.1"
    taken = False
    try:
        with socket.create_connection((host, site.port), timeout=0.3):
            taken = True
    except OSError:
        pass
    own = tuple(one.url for one in look_at_leftovers(site).processes if one.url and one.standing == "alive")
    return PortFacts(host=host, port=site.port, taken=taken, own=own)


def judge_port(facts: PortFacts) -> Iterator[Finding]:
    """A port that is free, or held by this project."""
    mine = [url for url in facts.own if url.rstrip("/").endswith(f":{facts.port}")]
    if mine:
        yield ok("port", f"{mine[0]} is served by this project")
    elif facts.taken:
        yield warn(
            "port",
            f"another program listens on port {facts.port}, where the gateway would",
            f"stop it (ss -ltnp 'sport = :{facts.port}' names it), or freehold up --port {facts.port + 1}",
        )
    else:
        yield ok("port", f"{facts.port} is free")


class FactFacts(Record, frozen=True, kw_only=True):
    """How old the shipped facts are, and what is known of the incumbent's end."""

    today: date
    dates: tuple[PartAge, ...]
    incumbent: str | None = None
    shutdown: date | None = None


def look_at_facts(site: Site) -> FactFacts:
    incumbent = None if site.config is None or site.config.incumbent is None else site.config.incumbent.model
    row = None if incumbent is None else retirement_of(incumbent)
    return FactFacts(
        today=site.now.date(),
        dates=ages(),
        incumbent=incumbent,
        shutdown=None if row is None else row.shutdown,
    )


def judge_facts(facts: FactFacts) -> Iterator[Finding]:
    """Facts that were read not long ago, and an incumbent that lives on."""
    stale = [one for one in facts.dates if (facts.today - one.newest).days > one.stale_days]
    for one in stale:
        yield warn(
            "facts",
            f"{one.part} were last read on {one.newest}, {(facts.today - one.newest).days} days ago",
            "pip install --upgrade freehold",
        )
    if not stale:
        oldest = min(facts.dates, key=lambda one: one.newest)
        yield ok("facts", f"all parts of the catalog were read on {oldest.newest} or later")
    if facts.incumbent is None or facts.shutdown is None:
        return
    left = (facts.shutdown - facts.today).days
    text = f"{facts.incumbent} stops on {facts.shutdown}"
    fix = "freehold freeze records its answers while it gives any; freehold migrate replaces it"
    if left < 0:
        yield fail(
            "incumbent", f"{text}, {-left} days ago", "freehold migrate; freehold retirements has the dates"
        )
    elif left <= SOON_DAYS:
        yield warn("incumbent", f"{text}, in {left} days", fix)
    else:
        yield ok("incumbent", f"{text}, in {left} days")


def look_at_incidents(site: Site) -> tuple[Incident, ...]:
    if not site.state.exists():
        return ()
    try:
        rows = rows_of(site, "SELECT id, body FROM records WHERE kind = 'route_alarm'")
        alarms = [
            decoded(body, RouteAlarm, "route_alarm", "records", f"route_alarm/{key}") for key, body in rows
        ]
    except FreeholdError:
        alarms = []  # another check says what is wrong with the store
    return incidents(site.state, alarms)


def judge_incidents(found: tuple[Incident, ...]) -> Iterator[Finding]:
    for one in found:
        yield (fail if one.serious else warn)("incidents", one.what, one.fix)
    if not found:
        yield ok("incidents", "no gateway of this project tells of any")
