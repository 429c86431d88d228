"""`freehold publishers`: licences, drift and cadence of those who publish weights."""

from __future__ import annotations

import click

from freehold.cli.options import hanging, json_option, now, print_json
from freehold.cli.output import echo


@click.command("publishers")
@click.argument("name", required=False)
@json_option("freehold.catalog.publishers:Publisher[]")
def command(name: str | None, as_json: bool) -> None:
    """Who gives weights away, under what licences, how these moved, how often, and what relying on them means.

    \b
    Example:
      freehold publishers
      freehold publishers Google
    """
    from freehold.catalog.freshness import said
    from freehold.catalog.licenses import licenses
    from freehold.workflows.choose.publishers import show

    known = licenses()
    found = show(name)
    if as_json:
        print_json(found)
        return
    for one in found:
        span = f", {one.first} to {one.latest}" if one.first else ""
        pace = f", every {one.months_between:g} months" if one.months_between is not None else ""
        echo(f"{click.style(one.name, bold=True)}  {one.models} models in the catalog{span}{pace}")
        for license_id in one.licenses:
            named = known.get(license_id)
            echo(f"  - {named.name if named else license_id}")
        if one.drift:
            echo(hanging(one.drift, "  "))
        echo(click.style(hanging(one.reliance, "  "), dim=True))
        source = f"{one.source}, {said('publishers', one.checked, now().date())}"
        echo(click.style(hanging(source, "  "), dim=True))
