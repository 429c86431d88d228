"""What the parts share: a plan, an engine started as its makers would, results."""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.engines.llamacpp import native
from freehold.engines.supervisor import Program, SupervisedProcess
from freehold.errors import EngineError
from freehold.processes import claim_port
from freehold.settings import load
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


class Result(NamedTuple):
    """One line of the outcome. `wanted` is the limit, `holds` None where there is none."""

    part: str
    what: str
    value: float
    unit: str
    detail: str = ""
    wanted: str = ""
    holds: bool | None = None


class Asked(NamedTuple):
    """What the command line said."""

    model: str
    seconds: float
    rounds: int
    logs: Path
    quick: bool = False


def plan(asked: Asked, *, parallel: int = 1, context_tokens: int = 2048, **options: Any) -> ServePlan:
    """A llama.cpp plan of the model."""
    request = ServeRequest(
        engine="llamacpp", parallel=parallel, context_tokens=context_tokens, options=options
    )
    made = pull_and_plan(asked.model, request, load())
    return msgspec.structs.replace(made, threads=made.threads or cores())


def cores() -> int:
    from freehold.hardware.probes import usable_cores as machine_cores

    return machine_cores().value


def built() -> Path:
    """The llama-server built for this CPU. Raises `EngineError` when there is none."""
    found = native.read(load().home)
    if found is None:
        raise EngineError("no build of llama.cpp is here", hint="freehold engines install llamacpp")
    return Path(found.binary)


@contextlib.asynccontextmanager
async def plain_server(
    binary: Path, weights: str, *arguments: str, name: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Endpoint]:
    """``llama-server`` with nothing set but model and address: what somebody gets who types its name."""

    def command(port: int) -> Program:
        return Program(
            (
                sys.executable, "-m", "freehold.engines.lifeline", str(binary),
                "--model", weights, "--alias", "plain", "--host", "127.0.0.1", "--port", str(port),
                "--offline", "--jinja", "--no-ui", *arguments,
            ),
            environment or {},
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        running = SupervisedProcess(
            command,
            name=name,
            host="127.0.0.1",
            log_dir=Path(folder),
            ready_seconds=120,
            probe_model="plain",
        )
        await running.start(claim_port("127.0.0.1", 0))
        try:
            yield Endpoint(
                name=name,
                engine="remote",
                base_url=running.base_url,
                models=(ServedModel(name="plain", upstream_name="plain"),),
                capabilities=Capabilities(),
            )
        finally:
            await running.stop()


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Median of the first of each pair over the median of the second."""
    return statistics.median(one for one, _ in pairs) / statistics.median(other for _, other in pairs)


def tell(text: str) -> None:
    print(f"    {text}", file=sys.stderr, flush=True)
