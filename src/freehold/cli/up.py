"""`freehold up`: the gateway with a model behind it; `freehold console`: the project in the browser."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Literal

from freehold.cli.operation import ALLOWED_HOSTS, BAR, opened, operation, opt, tell
from freehold.cli.options import caller, not_with, now
from freehold.cli.output import echo
from freehold.cli.serve import serving

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.workflows.project import Project
    from freehold.workflows.shift.up import Capture


@operation("up", "freehold.cli.printed:Serving")
def up(
    *,
    port: int | None = opt("Port to listen on (default: FREEHOLD_PORT).", ge=1, le=65535),
    host: str | None = opt("Address to listen on. Loopback unless you say otherwise."),
    hosts: tuple[str, ...] = ALLOWED_HOSTS,
    model: str | None = opt("Serve this model instead of the project's."),
    no_engine: bool = opt(
        "Leave the engine out: [incumbent] and [[endpoints]] of freehold.toml answer, and no weights are needed."
    ),
    capture: Capture | None = opt(
        "Keep traces: as they are (raw), or with personal data replaced: what patterns find (patterns), or "
        "a library as well (pii). Default: [capture] in freehold.toml, else off.",
        choices=["off", "raw", "patterns", "pii"],
    ),
    workers: int | None = opt("Worker processes of the gateway (default: 1).", ge=1, le=64),
    without_keys: bool = opt(
        "Let everybody ask who reaches --host. Needed for an address beyond loopback while there is no key."
    ),
    project: Project = opened(),
    bar: Progress = BAR,
    as_json: bool,
) -> None:
    """Serve this project's model on an OpenAI-compatible address, until Ctrl-C.

    What freehold migrate chose is served; without a project, the default model. The incumbent of
    freehold.toml is reachable by its own name when its key is in the environment.

    \b
    Example:
      freehold up --port 8420
      freehold up --model google/gemma-3-270m --capture patterns
      freehold up --host 0.0.0.0 --set serve.tls_cert=fullchain.pem --set serve.tls_key=key.pem
      freehold up --host 0.0.0.0 --allow-host models.example.com
      freehold up --no-engine --capture patterns
    """
    from freehold.workflows.serve.plan import of_config, pull_and_plan
    from freehold.workflows.shift import up as workflow

    not_with("--no-engine", no_engine, "model")
    project = project.also_under(hosts)
    listening = workflow.Listening(host=host, port=port, workers=workers, without_keys=without_keys)
    plan = None
    if model is not None:
        request = of_config(project.config.serve)
        plan = pull_and_plan(model, request, project.settings, progress=bar)
    workflow.up(
        project,
        listening=listening,
        capture=capture,
        plan=plan,
        with_engine=not no_engine,
        ready=lambda running: tell(serving(running), as_json),
        progress=bar,
    )


@operation("console")
def console(
    *,
    port: int = opt("Port; 0 takes a free one.", default=8425, ge=0, le=65535),
    host: str = opt(
        "Address to bind. Where other machines reach it, all who come are asked for a key of the gateway.",
        default="127.0.0.1",
    ),
    hosts: tuple[str, ...] = ALLOWED_HOSTS,
    role: Literal["read", "operate", "admin"] = opt(
        "What the printed address is good for: read looks, operate moves traffic as well, admin manages keys too.",
        default="operate",
    ),
    content: bool = opt(
        "Whether the printed address shows what customers write. A key does if its role is admin.",
        default=True,
    ),
    project: Project = opened(),
) -> None:
    """The project in the browser: where it stands, traffic, proof, rollout, keys; and the buttons that move it.

    The address carries a token made for this run: who has it may do what --role says. Others show a key of the gateway
    (freehold keys add NAME --role read|operate|admin). Ctrl-C ends it; traffic does not depend on it.

    \b
    Example:
      freehold console
      freehold console --port 0
      freehold console --role read --no-content
      freehold console --host 0.0.0.0 --allow-host ops.example.com
    """
    from freehold.console.app import serve
    from freehold.console.guard import Visitor
    from freehold.wire.base_url import is_loopback
    from freehold.workflows.shift import keys

    login = not is_loopback(host)  # who reaches it from another machine shows a key
    if login:
        keys.check_login(project, at=now())
    token = None if login else secrets.token_urlsafe(24)

    def ready(url: str) -> None:
        # After the #: a browser sends that part to no server.
        address = url if token is None else f"{url}/#token={token}"
        echo(address)
        echo("Ctrl-C ends the console. Traffic goes on without it.", err=True)

    serve(
        project,
        host=host,
        port=port,
        hosts=hosts,
        token=token,
        visitor=Visitor(f"{caller()} (console)", role, content=content),
        ready=ready,
    )
