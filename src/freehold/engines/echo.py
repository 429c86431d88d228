"""The echo engine: the shipped fake, an OpenAI-compatible server without a model, so that steps can be rehearsed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from freehold.engines import keys, supervisor
from freehold.engines.echo_answers import EchoOptions, read_answers
from freehold.engines.engine import ConnectedEngine, Presence, RunningEngine, endpoint_of, read_options
from freehold.engines.supervisor import Program
from freehold.errors import UsageError
from freehold.processes import claim_port
from freehold.settings import Settings
from freehold.types.endpoint import Capabilities, ServePlan
from freehold.types.engine import ENGINE_KINDS

CAPABILITIES = Capabilities(
    streaming=True, tools=True, json_schema=True, logprobs=False, adapters=True, embeddings=True
)
READY_SECONDS = 30.0


class EchoEngine:
    """A server without a model: deterministic, quick, and told what to answer."""

    kind = ENGINE_KINDS["echo"]

    def presence(self, settings: Settings) -> Presence:
        return Presence(available=True, note=self.kind.title)

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        read_options(options, EchoOptions, "echo")

    def check(self, plan: ServePlan, settings: Settings) -> None:
        supervisor.require_loopback(plan.host, "the echo engine")
        options = read_options(plan.options, EchoOptions, "echo")
        if not 0 <= options.failure_rate <= 1:
            raise UsageError(f"engine echo: failure_rate is {options.failure_rate}, expected 0 to 1")
        if options.in_process and options.crash_on is not None:
            raise UsageError("engine echo: crash_on would end this process", hint="leave in_process out")
        if options.answers_file is not None:
            read_answers(options.answers_file)
        if plan.port:
            claim_port(plan.host, plan.port)

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        options = read_options(plan.options, EchoOptions, "echo")
        if options.in_process:
            return await _in_process(plan, name, options, key_env)

        def program(ported: ServePlan) -> Program:
            child = (sys.executable, "-m", "freehold.engines.echo_server")
            return Program(child, {}, keys.first_lines(ported, key_env))

        return await supervisor.start_child(
            plan,
            program,
            name=name,
            log_dir=log_dir,
            key_env=key_env,
            ready_seconds=READY_SECONDS,
            capabilities=CAPABILITIES,
        )


async def _in_process(
    plan: ServePlan, name: str, options: EchoOptions, key_env: str | None
) -> ConnectedEngine:
    """Echo inside the caller's event loop: nothing to start, nothing to crash."""
    from aiohttp import web

    from freehold.engines.echo_server import EchoApp

    app = EchoApp(plan, options, keys.value_of(key_env)).application()
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    port = claim_port(plan.host, plan.port)
    await web.TCPSite(runner, plan.host, port).start()
    url = f"http://{f'[{plan.host}]' if ':' in plan.host else plan.host}:{port}"
    endpoint = endpoint_of(plan, name, url, key_env=key_env, capabilities=CAPABILITIES)
    return ConnectedEngine(endpoint, runner.cleanup)


ENGINE = EchoEngine()
