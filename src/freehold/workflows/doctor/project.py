"""Checks of the project: its configuration, its keys, its port, the facts it relies on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from freehold.catalog.freshness import ages
from freehold.catalog.retirements import retirement_of
from freehold.errors import FreeholdError, KeysUnavailableError
from freehold.gateway.limits import key_requirement
from freehold.store import database
from freehold.store.database import store_file
from freehold.types.config import ProjectConfig
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.rollout import RouteAlarm
from freehold.types.route import ApiKey
from freehold.wire.base_url import is_loopback
from freehold.workflows.doctor.site import Site
from freehold.workflows.serve.background import live_servers
from freehold.workflows.shift.alarms import incidents

SOON_DAYS = 90


def check_config(site: Site) -> Iterator[Finding]:
    """A file that is read, and what it names is there."""
    found = [
        fail("configuration", one.message, one.hint or "freehold settings --keys explains every key of it")
        for one in site.problems
    ]
    if site.config is not None and site.config_path is not None:
        found += _missing(site.config, site)
    said = "no freehold.toml here or above: the defaults hold"
    yield from found or [ok("configuration", said if site.config_path is None else str(site.config_path))]


def _missing(config: ProjectConfig, site: Site) -> Iterator[Finding]:
    """Variables and files that the file names and that are not there."""
    named = {f"[[endpoints]] {one.name}": one.api_key_env for one in config.endpoints}
    named["[watch]"] = config.watch.webhook_env
    if config.incumbent is not None:
        named["[incumbent]"] = config.incumbent.api_key_env
    for where, name in named.items():
        if name is not None and not os.environ.get(name):
            yield warn(
                "configuration",
                f"{where} takes its key from {name}, which is not set in this environment",
                f"export {name}=…  before the gateway starts",
            )
    for name in (
        *config.data.files,
        *config.data.held_out_files,
        config.serve.tls_cert,
        config.serve.tls_key,
    ):
        if name and not (site.root / Path(name).expanduser()).exists():
            said = f"{name} is named in {site.config_path} and is not there"
            yield warn("configuration", said, "put it there, or name another")


def check_keys(site: Site) -> Iterator[Finding]:
    try:
        required = _required(site)
        keys = site.records(ApiKey)
    except KeysUnavailableError as error:
        return iter((fail("keys", f"no client gets in: {error.message}", error.hint or ""),))
    except FreeholdError as error:
        return iter((warn("keys", f"they cannot be read: {error.message}", "freehold store check"),))
    tls = site.config is not None and site.config.serve.tls_cert is not None
    return judge_keys(keys, site.now, host=site.settings.host, tls=tls, required=required)


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
    facts = dict(site.rows("SELECT name, value FROM store_facts"))
    changes = dict(site.rows("SELECT name, value FROM counters")).get(database.KEYS, 0)
    key_requirement.check_store(known, store_id=facts.get("id", ""), changes=changes)
    return True


def _file_of(site: Site) -> Path | None:
    try:
        return store_file(site.store_url)
    except FreeholdError:  # the check of the store says what is wrong with its address
        return None


def judge_keys(
    keys: Sequence[ApiKey], now: datetime, *, host: str, tls: bool, required: bool
) -> Iterator[Finding]:
    """An address that others reach asks for keys, and over TLS. `required`: the project says, outside the store, that
    keys are asked for."""
    live = [key for key in keys if key.revoked_at is None]
    expired = [key.name for key in live if key.expires_at is not None and key.expires_at <= now]
    in_force = [key.name for key in live if key.name not in expired]
    exposed = not is_loopback(host)
    if expired:
        yield warn(
            "keys",
            f"{', '.join(expired)} expired: the gateway refuses what still uses them",
            "freehold keys add NAME, then freehold keys revoke the old one",
        )
    if in_force:
        if exposed and not tls:
            yield warn(
                "keys",
                f"{host} is reached from other machines without TLS: keys can be read on the way",
                "[serve] tls_cert and tls_key, or a proxy with TLS in front",
            )
        count = "1 key is" if len(in_force) == 1 else f"{len(in_force)} keys are"
        yield ok("keys", f"{count} in force: {', '.join(in_force[:5])}{' …' * (len(in_force) > 5)}")
    elif keys or required:
        yield warn(
            "keys", "none is in force, and keys are asked for: no client gets in", "freehold keys add NAME"
        )
    elif exposed:
        yield fail(
            "keys",
            f"the gateway listens on {host} without keys: every machine that reaches it may ask, and spend",
            "freehold keys add NAME",
        )
    else:
        yield ok("keys", f"none: every program on this machine may ask ({host} is reached from here only)")


def check_port(site: Site) -> Iterator[Finding]:
    """A port that is free, or held by this project."""
    port, host = site.port, site.settings.host if is_loopback(site.settings.host) else "127.0.0.1"
    own = [server.url for server in live_servers(site.state / "engines")]
    mine = [url for url in own if url.rstrip("/").endswith(f":{port}")]
    if mine:
        yield ok("port", f"{mine[0]} is served by this project")
        return
    try:
        socket.create_connection((host, port), timeout=0.3).close()
    except OSError:
        yield ok("port", f"{port} is free")
        return
    yield warn(
        "port",
        f"another program listens on port {port}, where the gateway would",
        f"stop it (ss -ltnp 'sport = :{port}' names it), or freehold up --port {port + 1}",
    )


def check_facts(site: Site) -> Iterator[Finding]:
    """Facts that were read not long ago, and an incumbent that lives on."""
    today, dates = site.now.date(), ages()
    stale = [one for one in dates if (today - one.newest).days > one.stale_days]
    for one in stale:
        yield warn(
            "facts",
            f"{one.part} were last read on {one.newest}, {(today - one.newest).days} days ago",
            "pip install --upgrade freehold",
        )
    if not stale:
        oldest = min(dates, key=lambda one: one.newest)
        yield ok("facts", f"all parts of the catalog were read on {oldest.newest} or later")
    incumbent = None if site.config is None or site.config.incumbent is None else site.config.incumbent.model
    row = None if incumbent is None else retirement_of(incumbent)
    if row is None:
        return
    left = (row.shutdown - today).days
    text = f"{incumbent} stops on {row.shutdown}"
    fix = "freehold freeze records its answers while it gives any; freehold migrate replaces it"
    if left < 0:
        yield fail(
            "incumbent", f"{text}, {-left} days ago", "freehold migrate; freehold retirements has the dates"
        )
    elif left <= SOON_DAYS:
        yield warn("incumbent", f"{text}, in {left} days", fix)
    else:
        yield ok("incumbent", f"{text}, in {left} days")


def check_incidents(site: Site) -> Iterator[Finding]:
    """What the running gateway of this project tells of."""
    alarms: list[RouteAlarm] = []
    with suppress(FreeholdError):  # another check says what is wrong with the store
        alarms = site.records(RouteAlarm)
    found = incidents(site.state, alarms) if site.state.exists() else ()
    yield from found or (ok("incidents", "no gateway of this project tells of any"),)
