"""The echo engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import keys, ports
from freehold.engines.echo.options import EchoOptions, read_answers
from freehold.engines.engine import EngineHealth, Presence, RunningEngine, read_options
from freehold.engines.held_labels import held
from freehold.engines.supervisor import Program, SupervisedProcess
from freehold.errors import UsageError
from freehold.settings import Settings
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
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
        ports.require_loopback(plan.host, "the echo engine")
        options = read_options(plan.options, EchoOptions, "echo")
        if not 0 <= options.failure_rate <= 1:
            raise UsageError(f"engine echo: failure_rate is {options.failure_rate}, expected 0 to 1")
        if options.in_process and options.crash_on is not None:
            raise UsageError("engine echo: crash_on would end this process", hint="leave in_process out")
        if options.answers_file is not None:
            read_answers(options.answers_file)
        if plan.port:
            ports.claim(plan.host, plan.port)

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        if read_options(plan.options, EchoOptions, "echo").in_process:
            return await InProcessEcho.start(plan, name, key_env)

        def program(port: int) -> Program:
            ported = msgspec.structs.replace(plan, port=port)
            return Program(
                (sys.executable, "-m", "freehold.engines.echo.child"), {}, keys.first_lines(ported, key_env)
            )

        running = SupervisedProcess(
            program,
            name=name,
            host=plan.host,
            log_dir=log_dir,
            ready_seconds=READY_SECONDS,
            probe_model=plan.model,
            key_env=key_env,
        )
        await running.start(plan.port)
        running.endpoint = _endpoint(plan, name, running.base_url, key_env)
        return running


def _endpoint(plan: ServePlan, name: str, base_url: str, key_env: str | None) -> Endpoint:
    served = [ServedModel(name=plan.model, upstream_name=plan.model)]
    served += [
        ServedModel(name=mount.name, upstream_name=mount.name, adapter_id=mount.adapter_id)
        for mount in plan.adapters
    ]
    return Endpoint(
        name=name,
        engine="echo",
        base_url=base_url,
        models=tuple(held(one, plan) for one in served),
        capabilities=CAPABILITIES,
        api_key_env=key_env,
        context_tokens=plan.context_tokens,
    )


class InProcessEcho:
    """Echo inside the caller's event loop: nothing to start, nothing to crash."""

    def __init__(self, endpoint: Endpoint, runner: object) -> None:
        self.endpoint = endpoint
        self._runner = runner
        self._stopped = False

    @classmethod
    async def start(cls, plan: ServePlan, name: str, key_env: str | None) -> InProcessEcho:
        from aiohttp import web

        from freehold.engines.echo.app import EchoApp

        options = read_options(plan.options, EchoOptions, "echo")
        app = EchoApp(plan, options, keys.value_of(key_env)).application()
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        port = ports.claim(plan.host, plan.port)
        await web.TCPSite(runner, plan.host, port).start()
        host = f"[{plan.host}]" if ":" in plan.host else plan.host
        return cls(_endpoint(plan, name, f"http://{host}:{port}", key_env), runner)

    def health(self) -> EngineHealth:
        return EngineHealth(state="stopped" if self._stopped else "ready")

    async def stop(self) -> None:
        from aiohttp import web

        assert isinstance(self._runner, web.AppRunner)
        if not self._stopped:
            self._stopped = True
            await self._runner.cleanup()


ENGINE = EchoEngine()
