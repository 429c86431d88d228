"""`freehold import-config`: LiteLLM's configuration as a `freehold.toml`, with what has no counterpart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from freehold.catalog.vendors import with_addresses
from freehold.errors import InputError
from freehold.types.config_file import parse
from freehold.types.record import Record
from freehold.visible import one_line
from freehold.workflows.journey.converting.litellm import (
    REFERENCE,
    ConvertedTables,
    Mapped,
    Table,
    Unmapped,
    Variable,
    recognises,
)
from freehold.workflows.journey.converting.reading import read_document
from freehold.workflows.journey.drafting import name_of, place, value

_SECRET_KEY = re.compile(
    r"(?:^|[_-])(?:api|access|secret|private|master|auth)[_-]?key(?:[_-]?id)?$|secret|password|passwd|token$|credential|"
    r"authorization|salt[_-]?key$",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 8


class ConvertedConfig(Record, frozen=True, kw_only=True):
    """LiteLLM's configuration as a `freehold.toml`; `assumed` is what the file does not say."""

    file: str
    toml: str
    mapped: tuple[Mapped, ...]
    assumed: tuple[str, ...]
    unmapped: tuple[Unmapped, ...]
    environment: tuple[Variable, ...]


def convert(file: Path, incumbent: str | None = None) -> ConvertedConfig:
    """Read the file and convert it; `incumbent` is the model to leave, told from the file where it is None.

    Raises `InputError` for a file that is not LiteLLM's or beyond bounds. What it gives has been read by the project's
    own strict reader before.
    """
    document = read_document(file)
    if not recognises(document):
        raise InputError(
            "is not a configuration of LiteLLM's proxy",
            path=str(file),
            hint="those of other tools are taken over by hand: docs/reference/other-tools.md says which key is which; "
            "a log of traffic is read by: freehold import FILE",
        )
    parts = ConvertedTables(document, str(file), incumbent)
    if not parts.routes:
        raise InputError(
            "nothing in it could be converted: "
            + "; ".join(f"{where}: {why}" for where, why in [*parts.unmapped.items()][:3]),
            path=str(file),
        )
    text = _toml(parts, file)
    with_addresses(parse(text, path="the converted file"))
    made = ConvertedConfig(
        file=str(file),
        toml=text,
        mapped=tuple(parts.mapped),
        assumed=tuple(map(_line, parts.assumed)),
        unmapped=tuple(
            Unmapped(source=_line(where), why=_line(why)) for where, why in parts.unmapped.items()
        ),
        environment=tuple(parts.environment.values()),
    )
    _check_without_secrets(made, document, file)
    return made


def _toml(parts: ConvertedTables, path: Path) -> str:
    lines = [
        f"# Converted from LiteLLM's {json.dumps(place(path, Path()))[1:-1]} by freehold import-config.",
        "",
    ]
    tables: list[tuple[str, Table]] = [("[app]", {"name": name_of(Path())})]
    tables += [("[incumbent]", parts.incumbent)] if parts.incumbent else []
    tables += [("[[endpoints]]", one) for one in parts.endpoints.values()]
    tables += [("[[routes]]", one) for one in parts.routes]
    for header, table in tables:
        lines += [header, *(f"{key} = {value(one)}" for key, one in _said(table).items()), ""]
    return "\n".join(lines)


def _said(table: Table) -> Table:
    """A table without what is empty, inner ones included."""
    inner = {key: _said(one) if isinstance(one, dict) else one for key, one in table.items()}
    return {
        key: [_said(part) for part in one] if isinstance(one, list) else one
        for key, one in inner.items()
        if one not in (None, {}, [])
    }


def _line(text: str) -> str:
    """Text with names of the file in it, in one line that is not too long."""
    plain = one_line(text)
    return plain if len(plain) <= 400 else plain[:399] + "…"


def _check_without_secrets(made: ConvertedConfig, document: Any, path: Path) -> None:
    """Nothing that stands under the name of a secret in the file may stand in what was made of it."""
    text = msgspec.json.encode(made).decode()
    for where, secret in _secrets(document):
        if msgspec.json.encode(secret).decode()[1:-1] in text:
            raise InputError(
                f"what stands at {_line(where)} looks like a key and stands in another place of the file too, from "
                "which it would be copied",
                path=str(path),
                hint="take the key out of the file: name an environment variable there",
            )


def _secrets(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Texts that stand under the name of a secret. The document's size was bounded when it was read."""
    if isinstance(value, list):
        for place, one in enumerate(value):
            yield from _secrets(one, f"{where}[{place}]")
    if not isinstance(value, dict):
        return
    for key, one in value.items():
        at = f"{where}.{key}" if where else str(key)
        if isinstance(one, str):
            is_secret = (
                _SECRET_KEY.search(str(key))
                and len(one) >= _SHORTEST_SECRET
                and not REFERENCE.match(one.strip())
            )
            if is_secret:
                yield at, one.strip()
        else:
            yield from _secrets(one, at)
