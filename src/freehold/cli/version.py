"""`freehold --version`: one line for people, and with `--json` what a report of a fault should say."""

from __future__ import annotations

import platform
import re
from importlib import metadata

import click

from freehold import __version__
from freehold.cli.documents import VERSION_SCHEMA, VersionDocument, document
from freehold.cli.output import echo, wants_json


def version_option() -> click.Option:
    """``--version``; eager, so that nothing else has to be right."""
    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show,
        help="Show the version and exit; with --json also Python, system and extras.",
    )


def json_flag() -> click.Option:
    """``--json`` in front of a command, where only `--version` takes it."""
    return click.Option(["--json"], is_flag=True, hidden=True, expose_value=False, callback=_refuse)


def _show(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    if wants_json():
        import msgspec

        made = document(version_document(), VERSION_SCHEMA)
        echo(msgspec.json.format(made).decode(), whole=True)
    else:
        echo(f"freehold, version {__version__}")
    context.exit()


def _refuse(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        raise click.UsageError("--json goes behind a command's name, or with --version")


def version_document() -> VersionDocument:
    return VersionDocument(
        version=__version__,
        python=platform.python_version(),
        system=platform.platform(terse=True),
        extras=installed_extras(),
    )


def installed_extras() -> dict[str, bool]:
    """Each extra, and whether every package that it asks for on every system is here; empty where freehold itself was
    not installed as a package."""
    try:
        wanted = metadata.requires("freehold") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, bool] = {}
    for text in wanted:
        requirement, _, marker = text.partition(";")
        extra = re.fullmatch(r"\s*extra\s*==\s*['\"]([\w.-]+)['\"]\s*", marker)
        name = re.match(r"[\w.-]+", requirement.strip())
        if extra is not None and name is not None and name[0] != "freehold":
            found[extra[1]] = found.get(extra[1], True) and _is_here(name[0])
    return dict(sorted(found.items()))


def _is_here(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
