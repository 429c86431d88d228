"""`freehold serve`: a model and its adapters behind the gateway; `freehold load`: how an endpoint does under load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from freehold.cli.operation import ALLOWED_HOSTS, BAR, Reply, arg, opened, operation, opt, tell
from freehold.cli.options import variable_name
from freehold.cli.output import Aside, Block, TableRows

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.serving import LoadReport
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


@operation("load", "freehold.types.serving:LoadReport")
def load(
    url: str | None = arg(),
    *,
    model: str | None = opt("Model to ask for (default: the first the endpoint lists)."),
    streams: str = opt("Requests at once, one level after another.", default="1,4,8"),
    seconds: float = opt("How long each level is held.", default=15.0, gt=0),
    from_traces: bool = opt("Ask what the project's traces asked.", "--traces"),
    api_key_env: str | None = opt("Environment variable with the endpoint's key.", check=variable_name),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Drive the endpoint at URL (default: this project's gateway) and print what it did.

    Only load endpoints that are yours.

    \b
    Example:
      freehold load --streams 1,4,8,32
      freehold load http://127.0.0.1:8420 --traces --seconds 30 --json
    """
    from freehold.workflows.serve import measure as work
    from freehold.workflows.serve.measure import find_endpoint

    wanted = work.parse_streams(streams)
    endpoint = find_endpoint(url or project.gateway_url, api_key_env=api_key_env)
    report = work.load(
        project,
        endpoint=endpoint,
        model=model or endpoint.models[0].name,
        workload=work.workload_of(project, from_traces=from_traces),
        streams=wanted,
        seconds=seconds,
        progress=bar,
    )
    return Reply(report, _load_view)


def _load_view(report: LoadReport) -> Iterator[Block]:
    heads = (
        "streams",
        "req/s",
        "prompt tok/s",
        "tok/s",
        "TTFT p50",
        "p95 ms",
        "gap p50",
        "p95 ms",
        "total p50",
        "p95 ms",
    )
    table = TableRows([(*heads, "errors")])
    for level in report.levels:
        first, gap, total = level.ttft_ms, level.inter_token_ms, level.total_ms
        rates = f"{level.requests_per_second:.2f}", f"{level.prompt_tokens_per_second:.0f}"
        waits = f"{first.p50 or 0:.0f}", f"{first.p95 or 0:.0f}", f"{gap.p50 or 0:.1f}", f"{gap.p95 or 0:.1f}"
        whole = f"{total.p50 or 0:.0f}", f"{total.p95 or 0:.0f}", str(sum(level.errors.values()))
        table.append(
            (str(level.streams), *rates, f"{level.completion_tokens_per_second:.1f}", *waits, *whole)
        )
    yield table
    for level in report.levels:
        for kind, count in sorted(level.errors.items()):
            yield f"errors  {level.streams} streams: {count} × {kind}"
    yield f"knee    {report.knee_streams} streams give 90% of the best tokens/s"
