"""The echo engine: the shipped fake, an OpenAI-compatible server without a model, so that steps can be rehearsed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.engines import keys, supervisor
from freehold.engines.engine import Connection, Presence, RunningEngine, endpoint_of, read_options
from freehold.engines.supervisor import Program
from freehold.errors import UsageError
from freehold.rows.reading import records
from freehold.settings import Settings
from freehold.types.endpoint import Capabilities, ServePlan
from freehold.types.engine import ENGINE_KINDS


class EchoRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answer `answer` when the last user message contains `contains` or matches `regex`; `model` narrows it."""

    answer: str
    contains: str | None = None
    regex: str | None = None
    model: str | None = None

    def matches(self, text: str, model: str) -> bool:
        if self.model is not None and self.model != model:
            return False
        if self.contains is not None and self.contains not in text:
            return False
        return self.regex is None or re.search(self.regex, text) is not None


class EchoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`answers` maps a last user message to its answer; `answers_file` is the same as a JSON object, or JSON
    lines of ``{"input": …, "answer": …}``. `rules` are tried in order after that, then `default`, then the
    message itself comes back.

    `delay_ms` passes before the first byte, `token_delay_ms` for each piece of the answer, streamed or not.
    `failure_rate` is the share of requests answered with `failure_status` (a fixed sequence from `seed`).
    With `in_process` the server lives in the caller's event loop instead of a child process. `crash_on` ends the child
    as a crash would, without an answer, at a last user message that contains it.
    """

    answers: dict[str, str] = {}
    answers_file: str | None = None
    rules: tuple[EchoRule, ...] = ()
    default: str | None = None
    delay_ms: float = 0.0
    token_delay_ms: float = 0.0
    failure_rate: float = 0.0
    failure_status: int = 500
    seed: int = 0
    in_process: bool = False
    crash_on: str | None = None


class _Answer(msgspec.Struct):
    input: Any
    answer: Any


def read_answers(path: str) -> dict[str, str]:
    """Answers from a JSON object or JSON lines. Raises `InputError` with the line."""
    with files.reading(path):
        data = Path(path).read_bytes()
    try:
        return msgspec.json.decode(data, type=dict[str, str])
    except msgspec.DecodeError:
        pass  # not one object: JSON lines
    lines = records(Path(path), _Answer, "an answer with 'input' and 'answer'", container="json lines")
    return {str(one.input): str(one.answer) for _, one in lines}


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
            supervisor.claim_port(plan.host, plan.port)

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


async def _in_process(plan: ServePlan, name: str, options: EchoOptions, key_env: str | None) -> Connection:
    """Echo inside the caller's event loop: nothing to start, nothing to crash."""
    from aiohttp import web

    from freehold.engines.echo_server import EchoApp

    app = EchoApp(plan, options, keys.value_of(key_env)).application()
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    port = supervisor.claim_port(plan.host, plan.port)
    await web.TCPSite(runner, plan.host, port).start()
    url = f"http://{f'[{plan.host}]' if ':' in plan.host else plan.host}:{port}"
    endpoint = endpoint_of(plan, name, url, key_env=key_env, capabilities=CAPABILITIES)
    return Connection(endpoint, runner.cleanup)


ENGINE = EchoEngine()
