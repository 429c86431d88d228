"""`freehold up`: the gateway on loopback, with the model of this project (or the default one) behind it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import anyio

from freehold.gateway.config import GatewayConfig
from freehold.store import open_store
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.types.progress import Progress
from freehold.workflows import serve
from freehold.workflows.project import Project
from freehold.workflows.running import Running, hold

INCUMBENT = "incumbent"

Capture = Literal["off", "raw", "patterns"]


def project_plan(project: Project, *, progress: Progress | None = None) -> ServePlan:
    """What `freehold migrate` chose last for this project, else its first candidate as it comes."""
    with open_store(project.store_url) as store:
        chosen = store.latest_record("serve_plan", ServePlan)
    if chosen is not None and (chosen.weights_path is None or Path(chosen.weights_path).exists()):
        return chosen
    config = project.config.serve
    return serve.plan(
        project.config.candidates.models[0],
        project.settings,
        engine=config.engine,
        context_tokens=config.context_tokens,
        parallel=config.parallel,
        options=config.options,
        progress=progress,
    )


def incumbent_endpoint(project: Project, *, say: Callable[[str], None]) -> Endpoint | None:
    """The incumbent's endpoint, when `freehold.toml` names one and its key is in the environment."""
    incumbent = project.config.incumbent
    if incumbent is None or incumbent.base_url is None:
        return None
    if incumbent.api_key_env and not os.environ.get(incumbent.api_key_env):
        say(f"{incumbent.model} is not reachable through the gateway: {incumbent.api_key_env} is not set")
        return None
    return Endpoint(
        name=INCUMBENT,
        engine="remote",
        base_url=incumbent.base_url.rstrip("/").removesuffix("/v1"),
        api=incumbent.api,
        models=(ServedModel(name=incumbent.model, upstream_name=incumbent.model),),
        capabilities=Capabilities(tools=True, json_schema=True, logprobs=True, embeddings=True),
        api_key_env=incumbent.api_key_env,
    )


def up(
    project: Project,
    *,
    host: str | None = None,
    port: int | None = None,
    capture: Capture = "off",
    plan: ServePlan | None = None,
    ready: Callable[[Running], None],
    progress: Progress,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises `PortInUseError`, what pulling weights raises, and `EngineError` when the engine does not start.
    """
    from freehold.gateway.serve import check_port

    front = GatewayConfig(
        endpoints=tuple(
            endpoint for endpoint in [incumbent_endpoint(project, say=progress.say)] if endpoint is not None
        ),
        host=host or project.settings.host,
        port=port or project.config.serve.port or project.settings.port,
        store_url=project.store_url,
        capture=capture,
        capture_queue=project.settings.capture_queue,
    )
    check_port(front.host, front.port)  # before a pull that may take minutes
    chosen = plan or project_plan(project, progress=progress)
    progress.step("start the engine", note=f"{chosen.model} on {chosen.engine}")

    async def run() -> None:
        await hold(chosen, front, log_dir=project.state / "engines", ready=ready)

    anyio.run(run)
