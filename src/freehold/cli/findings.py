"""Findings of a check, a line each with its way out under it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from freehold.cli.options import hanging
from freehold.cli.output import echo
from freehold.types.finding import Finding, Outcome

COLOURS: dict[Outcome, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_findings(findings: Sequence[Finding], *, err: bool = False) -> None:
    """Print them in their order; to stderr with `err`."""
    for one in findings:
        mark = click.style(f"{one.outcome:<4}", fg=COLOURS[one.outcome], bold=one.outcome != "ok")
        text = hanging(_plain(one.text), f"  xxxx  {one.check:<14} ")
        echo(text.replace("xxxx", mark, 1), err=err)
        if one.fix:
            echo(click.style(hanging(_plain(one.fix), f"{'':<23}→ "), fg="cyan"), err=err)


def _plain(text: str) -> str:
    """Text that cannot steer the terminal: names of files, keys and models are what others made them."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
