"""`freehold up`: the gateway on loopback with a model behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import allow_host_option, caller, config_option, json_option
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.project import Project
    from freehold.workflows.shift.up import Capture, Listening


@click.command("up")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (default: FREEHOLD_PORT).")
@click.option("--host", help="Address to listen on. Loopback unless you say otherwise.")
@allow_host_option
@click.option("--model", help="Serve this model instead of the project's.")
@click.option(
    "--no-engine",
    is_flag=True,
    help="Leave the engine out: [incumbent] and [[endpoints]] of freehold.toml answer, and no weights are needed.",
)
@click.option(
    "--capture",
    type=click.Choice(["off", "raw", "patterns", "pii"]),
    help="Keep traces: as they are (raw), or with personal data replaced: what patterns find (patterns), or "
    "a library as well (pii). Default: [capture] in freehold.toml, else off.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes of the gateway (default: 1).")
@click.option(
    "--tls-cert",
    type=click.Path(),
    help="Certificate chain in PEM: serve over TLS (default: [serve] tls_cert).",
)
@click.option(
    "--tls-key", type=click.Path(), help="Its private key in PEM. A renewed pair is taken over in seconds."
)
@click.option(
    "--without-keys",
    is_flag=True,
    help="Let everybody ask who reaches --host. Needed for an address beyond loopback while there is no key.",
)
@click.option(
    "--render",
    "target",
    type=click.Choice(["systemd"]),
    help="Start nothing: print a unit for systemd with these options.",
)
@click.option("--user", help="With --render systemd: who the service runs as (default: you).")
@config_option
@json_option("freehold.cli.printed:Serving")
def command(
    port: int | None,
    host: str | None,
    hosts: tuple[str, ...],
    model: str | None,
    no_engine: bool,
    capture: Capture | None,
    workers: int | None,
    tls_cert: str | None,
    tls_key: str | None,
    without_keys: bool,
    target: str | None,
    user: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Serve this project's model on an OpenAI-compatible address, until Ctrl-C.

    What freehold migrate chose is served; without a project, the default model. The incumbent of
    freehold.toml is reachable by its own name when its key is in the environment.

    \b
    Example:
      freehold up --port 8420
      freehold up --model google/gemma-3-270m --capture patterns
      freehold up --host 0.0.0.0 --tls-cert fullchain.pem --tls-key key.pem
      freehold up --host 0.0.0.0 --allow-host models.example.com
      freehold up --no-engine --capture patterns
      freehold up --render systemd --workers 2 > freehold.service
    """
    from freehold.cli.progress import progress
    from freehold.cli.serve.serve import tell
    from freehold.errors import UsageError
    from freehold.gateway.config import TlsFiles
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.up import Listening, up

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key need each other")
    tls = (
        TlsFiles(certificate=tls_cert, key=tls_key) if tls_cert is not None and tls_key is not None else None
    )
    if no_engine and model is not None:
        raise UsageError(
            f"--no-engine runs no model, and --model {model} asks for one", hint="leave one of the two out"
        )
    project = open_project(config_path).also_under(hosts)
    listening = Listening(host=host, port=port, tls=tls, workers=workers, without_keys=without_keys)
    if target is not None:
        if as_json:
            raise UsageError("--render prints a file, and --json a record", hint="leave one of the two out")
        options = {"--model": model, "--capture": capture, "--no-engine": no_engine, "--allow-host": hosts}
        text = _unit(project, listening, options, user)
        echo(text, nl=False, whole=True)
        return
    if user is not None:
        raise UsageError("--user says what --render prints", hint="add --render systemd")
    with progress() as shown:
        plan = None
        if model is not None:
            from freehold.workflows.serve.plan import of_config, pull_and_plan

            request = of_config(project.config.serve)
            plan = pull_and_plan(model, request, project.settings, progress=shown)
        up(
            project,
            listening=listening,
            capture=capture,
            plan=plan,
            with_engine=not no_engine,
            ready=lambda running: tell(running, as_json),
            progress=shown,
        )


def _unit(project: Project, listening: Listening, options: dict[str, Any], user: str | None) -> str:
    """The unit of `--render`. What the service is started with is what stands on this command line."""
    from freehold.workflows.shift.service import service_of, unit

    tls = listening.tls
    given = {
        "--host": listening.host,
        "--port": listening.port,
        "--workers": listening.workers,
        "--tls-cert": None if tls is None else Path(tls.certificate).absolute(),
        "--tls-key": None if tls is None else Path(tls.key).absolute(),
        "--without-keys": listening.without_keys,
        **options,
    }
    words: list[str] = []
    for name, value in given.items():
        if value is True:
            words.append(name)
        elif isinstance(value, tuple):
            words += [word for each in value for word in (name, str(each))]
        elif value is not None and value is not False:
            words += [name, str(value)]
    with_engine = not options["--no-engine"]
    return unit(
        service_of(
            project, listening=listening, options=words, with_engine=with_engine, user=user or caller()
        )
    )
