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
    whole: dict[str, bool] = {}
    parts: dict[str, list[str]] = {}
    for text in wanted:
        requirement, _, marker = text.partition(";")
        extra = re.fullmatch(r"\s*extra\s*==\s*['\"]([\w.-]+)['\"]\s*", marker)
        name = re.match(r"([\w.-]+)(?:\[([^\]]*)\])?", requirement.strip())
        if extra is not None and name is not None:
            own = name[1] == "freehold"
            whole[extra[1]] = whole.get(extra[1], True) and (own or _is_here(name[1]))
            parts.setdefault(extra[1], []).extend(re.split(r"[\s,]+", name[2]) if own and name[2] else [])

    def is_whole(extra: str) -> bool:
        return whole.get(extra, False) and all(is_whole(part) for part in parts[extra])

    return {extra: is_whole(extra) for extra in sorted(whole)}


def _is_here(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
