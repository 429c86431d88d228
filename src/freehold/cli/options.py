"""Options that several commands share, and how they print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """``--config FILE``: another project than the one around the current folder."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        help="freehold.toml to use (default: here or in a folder above).",
    )(command)


def json_option(command: F) -> F:
    """``--json``: print the record instead of text for people."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: Any) -> None:
    """One indented JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
