"""The checks of `freehold doctor`: a table of small functions. To add one, write it and name it in `CHECKS`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from freehold import __version__
from freehold.types.units import GIB, gib
from freehold.workflows.doctor.patient import Finding, Level, Patient

Check = Callable[[Patient], Iterator[Finding]]
ENOUGH_DISK = 5 * GIB
LITTLE_MEMORY = 1 * GIB
CLOCK_AHEAD_SECONDS = 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def machine(_: Patient) -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    gpu = "an NVIDIA device" if Path("/dev/nvidia0").exists() else "no NVIDIA device"
    what = f"{os.cpu_count()} cores, {gib(memory.total)} of memory, {gib(memory.available)} available, {gpu}"
    if memory.available < LITTLE_MEMORY:
        yield Finding(
            check="machine", level="warn", what=what, fix="end other programs, or serve a smaller model"
        )
    else:
        yield Finding(check="machine", level="ok", what=what)


def versions(_: Patient) -> Iterator[Finding]:
    yield Finding(
        check="versions", level="ok", what=f"freehold {__version__}, Python {platform.python_version()}"
    )


def engines(_: Patient) -> Iterator[Finding]:
    found = []
    for title, package in (("llama.cpp (xllamacpp)", "xllamacpp"), ("vLLM", "vllm")):
        try:
            found.append(f"{title} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if shutil.which("ollama"):
        found.append("Ollama")
    if found:
        yield Finding(check="engines", level="ok", what=", ".join(found))
    else:
        fix = "pip install 'freehold[local]'; freehold engines list says more"
        yield Finding(check="engines", level="warn", what="none is installed next to freehold", fix=fix)


def configuration(patient: Patient) -> Iterator[Finding]:
    if patient.problem is not None:
        fix = patient.problem.hint or "correct it"
        yield Finding(check="configuration", level="fail", what=patient.problem.message, fix=fix)
        return
    assert patient.project is not None
    path = patient.project.config_path
    yield Finding(
        check="configuration", level="ok", what=str(path) if path else "no freehold.toml: defaults hold"
    )


def variables(patient: Patient) -> Iterator[Finding]:
    if patient.project is None:
        return
    config = patient.project.config
    named = [(endpoint.name, endpoint.api_key_env) for endpoint in config.endpoints]
    if config.incumbent is not None:
        named.append(("incumbent", config.incumbent.api_key_env))
    for name, variable in named:
        if variable and not os.environ.get(variable):
            what = f"{variable}, the key of the endpoint {name}, is not set"
            yield Finding(check="variables", level="warn", what=what, fix=f"export {variable}=…")


def store(patient: Patient) -> Iterator[Finding]:
    state = patient.store
    if state is None:
        yield Finding(check="store", level="ok", what="a database server; freehold traces list asks it")
    elif not state.exists and state.error is None:
        yield Finding(check="store", level="ok", what=f"none yet at {state.path}")
    elif state.error is not None:
        locked = "locked" in state.error
        fix = "wait, or stop the process that holds it" if locked else "restore it from a copy"
        yield Finding(
            check="store", level="warn" if locked else "fail", what=f"{state.path}: {state.error}", fix=fix
        )
    else:
        yield from _store_content(patient)


def _store_content(patient: Patient) -> Iterator[Finding]:
    from freehold.store.schema import NEWEST

    state = patient.store
    assert state is not None
    what = (
        f"{state.path}: {gib(state.path.stat().st_size, 2)}, schema {state.schema}, {state.traces:,} traces"
    )
    if state.intact is False:
        yield Finding(check="store", level="fail", what=f"{what}, damaged", fix="restore it from a copy")
    elif state.schema is not None and state.schema > NEWEST:
        fix = "pip install --upgrade freehold"
        yield Finding(
            check="store", level="fail", what=f"{what}, of a newer freehold ({NEWEST} here)", fix=fix
        )
    else:
        checked = "" if state.intact else ", too large to be checked here"
        yield Finding(check="store", level="ok", what=what + checked)


def disk(patient: Patient) -> Iterator[Finding]:
    places = {patient.state, patient.settings.home if patient.settings else None}
    for place in sorted(place for place in places if place is not None):
        there = next((folder for folder in (place, *place.parents) if folder.exists()), Path("/"))
        free = shutil.disk_usage(there).free
        level: Level = "ok" if free > ENOUGH_DISK else ("warn" if free > GIB / 4 else "fail")
        fix = None if level == "ok" else "free some space: freehold pull --help says how weights are removed"
        yield Finding(check="disk", level=level, what=f"{gib(free)} free at {there}", fix=fix)


def port(patient: Patient) -> Iterator[Finding]:
    if patient.settings is None:
        return
    host = patient.settings.host
    number = (patient.project.config.serve.port if patient.project else None) or patient.settings.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            fix = "it may be this project's gateway; otherwise freehold up --port takes another"
            yield Finding(
                check="port", level="warn", what=f"{host}, port {number}: {error.strerror}", fix=fix
            )
        else:
            yield Finding(check="port", level="ok", what=f"{host}, port {number} is free")


def clock(patient: Patient) -> Iterator[Finding]:
    newest_ms = patient.store.newest_ms if patient.store else None
    shown = f"{datetime.fromtimestamp(patient.now_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if newest_ms is not None and newest_ms / 1000 > patient.now_s + CLOCK_AHEAD_SECONDS:
        what = f"it is {shown}, before the newest trace, {newest_ms / 1000 - patient.now_s:,.0f} s ahead"
        yield Finding(check="clock", level="fail", what=what, fix="set the clock (chronyc, timedatectl)")
    else:
        yield Finding(check="clock", level="ok", what=shown)


def permissions(patient: Patient) -> Iterator[Finding]:
    if os.name != "posix" or patient.state is None or not patient.state.exists():
        return
    wanted = [patient.state, *(path for path in [patient.store.path if patient.store else None] if path)]
    fine = True
    for path in wanted:
        if not path.exists():
            continue
        status = path.stat()
        if status.st_uid not in (os.geteuid(), 0):
            fine = False
            what = f"{path} belongs to another user ({status.st_uid})"
            yield Finding(
                check="permissions", level="warn", what=what, fix=f"chown it, or run as that user: {path}"
            )
        elif status.st_mode & 0o077:
            fine = False
            fix = f"chmod {'700' if path.is_dir() else '600'} {path}"
            what = f"{path} can be read by others ({status.st_mode & 0o777:o})"
            yield Finding(check="permissions", level="warn", what=what, fix=fix)
    if fine:
        yield Finding(check="permissions", level="ok", what="the state is this user's alone")


def keys(patient: Patient) -> Iterator[Finding]:
    if patient.store is None or patient.settings is None:
        return
    if patient.store.keys:
        yield Finding(check="keys", level="ok", what=f"{patient.store.keys} known: a key is asked for")
    elif patient.settings.host not in LOOPBACK:
        what = (
            f"none, and the gateway listens on {patient.settings.host}: every client that reaches it may ask"
        )
        yield Finding(check="keys", level="fail", what=what, fix="freehold keys add NAME")
    else:
        yield Finding(check="keys", level="ok", what="none: programs of this machine may ask")


def facts(patient: Patient) -> Iterator[Finding]:
    from freehold.catalog import retirements

    today = datetime.fromtimestamp(patient.now_s, UTC).date()
    rows = retirements.rows()
    stale = sum(row.is_stale(today) for row in rows)
    newest = max(row.checked for row in rows)
    if stale:
        what = f"{stale} of {len(rows)} retirement dates were read too long ago (the newest on {newest})"
        fix = "pip install --upgrade freehold, or freehold catalog sync"
        yield Finding(check="facts", level="warn", what=what, fix=fix)
    else:
        yield Finding(check="facts", level="ok", what=f"retirement dates read up to {newest}")


def left_over(patient: Patient) -> Iterator[Finding]:
    from freehold.workflows.project_lock import read_owner

    if patient.state is None:
        return
    note = patient.state / "steps.owner.json"
    owner, gone = read_owner(note)
    if owner is not None:
        state = "ended without giving it back" if gone else "is at work"
        what = f"{owner.command} (pid {owner.pid}) holds the project's lock and {state}"
        fix = "nothing to do: the next command takes it over" if gone else None
        yield Finding(check="left over", level="warn" if gone else "ok", what=what, fix=fix)


CHECKS: tuple[Check, ...] = (
    machine,
    versions,
    engines,
    configuration,
    variables,
    store,
    disk,
    port,
    clock,
    permissions,
    keys,
    facts,
    left_over,
)


def examine(patient: Patient) -> list[Finding]:
    """What every check finds, in the order of the table; one that fails itself is a finding."""
    findings: list[Finding] = []
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            findings += check(patient)
        except Exception as error:  # noqa: BLE001 (a check that fails must not hide the others)
            what = f"could not be looked at: {type(error).__name__}: {error}"
            findings.append(
                Finding(check=name, level="warn", what=what, fix="report this, with the words of -vv")
            )
    return findings
