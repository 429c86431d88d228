"""`freehold license`: may I use this model for this, and what must I do?"""

from __future__ import annotations

import click
import msgspec


@click.command("license")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, as_json: bool) -> None:
    """Rule on a MODEL for the use described in `[use]` of freehold.toml.

    \b
    Example:
      freehold license HuggingFaceTB/SmolLM2-135M-Instruct
    """
    from pathlib import Path

    from freehold.types.config import parse
    from freehold.types.license import UseProfile
    from freehold.workflows.license import rule_for_model

    path = Path("freehold.toml")
    use = parse(path.read_text(), path=str(path)).use if path.exists() else UseProfile()
    ruling = rule_for_model(model, use)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(ruling)).decode())
    else:
        click.echo(f"{ruling.model}: {ruling.outcome}")
        for reason in ruling.reasons:
            click.echo(f"  {reason.code} {reason.license_id} {reason.section}: {reason.text}")
    if ruling.outcome in ("not_allowed", "needs_separate_license"):
        raise click.exceptions.Exit(1)
    if ruling.outcome == "unclear":
        raise click.exceptions.Exit(3)
