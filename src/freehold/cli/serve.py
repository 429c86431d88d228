"""`freehold serve`: a model and its adapters behind the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freehold.cli.operation import ALLOWED_HOSTS, BAR, Reply, arg, opened, operation, opt, tell
from freehold.cli.output import Aside, Block

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.workflows.project import Project
    from freehold.workflows.serve.hold import ServedAt


@operation("serve", "freehold.cli.printed:Serving")
def serve(
    models: tuple[str, ...] = arg(metavar="MODEL…"),
    *,
    adapters: tuple[str, ...] = opt("Serve an adapter as MODEL:NAME.", "--adapter", metavar="NAME=PATH"),
    kv_type: str = opt("Type of the KV cache, for example q8_0.", default="f16"),
    quantization: str | None = opt("Quantization of the weights.", "--quant"),
    port: int | None = opt("Port (default: [serve] port, else FREEHOLD_PORT).", ge=1, le=65535),
    host: str | None = opt("Address to listen on. Loopback unless you say otherwise."),
    hosts: tuple[str, ...] = ALLOWED_HOSTS,
    without_keys: bool = opt("Let everybody ask who reaches --host. Needed for an address beyond loopback."),
    project: Project = opened(),
    bar: Progress = BAR,
    as_json: bool,
) -> None:
    """Serve models on one OpenAI-compatible address, each by its name, until Ctrl-C.

    MODEL is what freehold models pull takes, or echo for the shipped fake. Several are all loaded at the start, and
    refused where their memory is not enough for all of them.

    \b
    Example:
      freehold serve HuggingFaceTB/SmolLM2-135M-Instruct --adapter support=.freehold/adapters/support
      freehold serve org/small org/large --set serve.parallel=8 --set serve.context_tokens=8192
      freehold serve echo --port 8500
    """
    import msgspec

    from freehold.workflows.serve import serve as work
    from freehold.workflows.serve.plan import of_config, plans

    project = project.also_under(hosts)
    work.check_open(project, host, without_keys=without_keys)
    work.check_address(project, host, port)  # before a pull that may take minutes
    request = msgspec.structs.replace(
        of_config(project.config.serve), kv_type=kv_type, quantization=quantization
    )
    made = plans(project, models, request, adapters=adapters, progress=bar)
    ready = lambda running: tell(serving(running), as_json)  # noqa: E731
    work.serve(project, made, host=host, port=port, ready=ready, progress=bar)


def serving(running: ServedAt) -> Reply:
    """Where it answers and to which names."""
    return Reply(
        {"url": running.url, "models": running.models, "logs": running.logs}, lambda _: _running(running)
    )


def _running(running: ServedAt) -> Iterator[Block]:
    from freehold.types.endpoint import INCUMBENT

    yield f"ready   {running.url}/v1"
    yield from (f"model   {name}" for name in running.models)
    for endpoint in running.remote:
        yield from (f"model   {served.name}   (passed on to {endpoint.name})" for served in endpoint.models)
    if running.others_to is not None:
        yield f"others  whatever else is asked   (passed on to {running.others_to})"
    elif any(endpoint.name == INCUMBENT for endpoint in running.remote):
        yield Aside('others  refused; [incumbent] others = "pass" passes them on, with the key it names')
    yield Aside(f"logs    {running.logs}   (Ctrl-C stops)")
