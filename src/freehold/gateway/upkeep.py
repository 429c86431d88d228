"""What a worker does besides answering: write its numbers, count what answers used, look for changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

from freehold.gateway.config import CONFIG_FILE, from_json
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.telemetry.request_log import Reporter

log = logging.getLogger("freehold.gateway")
_KEEP_UP_EVERY_S = 0.25


@contextlib.asynccontextmanager
async def upkeep(state: WorkerState) -> AsyncIterator[None]:
    """Keep a worker up to date while the block runs; at the end, send what was captured."""
    config_changed_ns = _follow_config(state, 0)
    jobs = [
        _write_meters(state),
        _keep_up(state, config_changed_ns),
        _check_failing(state),
        _flush_request_log(state.telling),
    ]
    tasks = [asyncio.create_task(job) for job in jobs]
    if state.recorder is not None:
        state.recorder.start()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        state.limiter.settle()
        if state.recorder is not None:
            await state.recorder.close()
        await asyncio.to_thread(state.telling.close)
        state.write_meters()
        await state.upstreams.close()
        state.reader.close()
        state.checker.close()


async def _write_meters(state: WorkerState) -> None:
    """Once a second: forget kept answers whose time is over, renew credentials, and write the numbers; twice where a
    candidate has requests under way, which may hang."""
    while True:
        await asyncio.sleep(0.5 if state.meters.candidates_requests else 1.0)
        state.kept.sweep(now_s=time.monotonic())
        state.upstreams.signer.tend(state.table.endpoints.values())
        state.write_meters()


async def _flush_request_log(reporter: Reporter) -> None:
    """Once a second: log lines and spans of the requests that ended."""
    while True:
        await asyncio.sleep(1.0)
        if reporter.is_due:
            await asyncio.to_thread(reporter.flush)


async def _check_failing(state: WorkerState) -> None:
    """Once a second: endpoints that kept failing get their requests back as soon as they answer a health check."""
    while True:
        await asyncio.sleep(1.0)
        await state.check_failing()


async def _keep_up(state: WorkerState, config_changed_ns: int) -> None:
    """Four times a second: count what answers used, so that all workers know, and look for a new configuration."""
    while True:
        await asyncio.sleep(_KEEP_UP_EVERY_S)
        config_changed_ns = _follow_config(state, config_changed_ns)
        state.keep_bills()
        state.limiter.settle()


def _follow_config(state: WorkerState, known_ns: int) -> int:
    """Take over a configuration that is newer than `known_ns`; returns the time of change of the one in force."""
    path = state.run_folder / CONFIG_FILE
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError:
        return known_ns
    if changed_ns != known_ns:
        config = from_json(path.read_bytes())
        log.debug(
            "new configuration with the endpoints %s",
            ", ".join(endpoint.name for endpoint in config.endpoints),
        )
        state.update_config(config)
    return changed_ns
