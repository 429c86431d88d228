"""`freehold import-config`: LiteLLM's configuration as a `freehold.toml`, with what has no counterpart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import files
from freehold.catalog.vendors import with_addresses
from freehold.errors import InputError, UsageError
from freehold.types.config import parse
from freehold.visible import one_line
from freehold.workflows.journey.converting import litellm
from freehold.workflows.journey.converting.parts import (
    ConfigParts,
    ConvertedConfig,
    Unmapped,
    referred_variables,
)
from freehold.workflows.journey.converting.reading import read_document
from freehold.workflows.journey.drafting import name_of, place
from freehold.workflows.project import CONFIG_NAME

_SECRET_KEY = re.compile(
    r"(?:^|[_-])(?:api|access|secret|private|master|auth)[_-]?key(?:[_-]?id)?$|secret|password|passwd|token$|credential|"
    r"authorization|salt[_-]?key$",
    re.IGNORECASE,
)
_REFERS = "os.environ/"
_SHORTEST_SECRET = 8
_MOST_UNREAD = 40


class ConvertRequest(NamedTuple):
    """What is converted, and how. What is None is told from the file."""

    file: Path
    folder: Path
    incumbent: str | None = None
    write: bool = False
    replace: bool = False


def convert(request: ConvertRequest) -> ConvertedConfig:
    """Read the file, convert it, and write `freehold.toml` into `request.folder` where that is asked for.

    Raises `InputError` for a file that is not LiteLLM's or beyond bounds, `UsageError` where there is a
    `freehold.toml` already, `StorageError` when it cannot be written. What it writes has been read by the project's own
    strict reader before.
    """
    target = request.folder / CONFIG_NAME
    if request.write and target.exists() and not request.replace:
        raise UsageError(
            f"{target} is there already",
            hint="write into another folder with --dir, or overwrite it with --replace",
        )
    document = read_document(request.file)
    if not litellm.recognises(document):
        raise InputError(
            "is not a configuration of LiteLLM's proxy",
            path=str(request.file),
            hint="those of other tools are taken over by hand: docs/guides/import-config.md says which key is which; "
            "a log of traffic is read by: freehold import FILE",
        )
    parts = ConfigParts(
        name_of(request.folder),
        place(request.file, request.folder),
        referred_variables(document),
    )
    unread = litellm.convert(document, parts, request.incumbent)
    if not parts.has_anything:
        raise InputError(
            "nothing in it could be converted: "
            + "; ".join(f"{one.source}: {one.why}" for one in parts.unmapped[:3]),
            path=str(request.file),
        )
    told = {one.source for one in parts.unmapped}
    rest = [where for where in unread if where not in told]
    for where in rest[:_MOST_UNREAD]:
        parts.lacks(where, "freehold has nothing of the kind")
    if len(rest) > _MOST_UNREAD:
        parts.lacks(
            "others", f"{len(rest) - _MOST_UNREAD:,} settings more that freehold has nothing of the kind for"
        )
    text = parts.toml()
    with_addresses(parse(text, path="the converted file"))
    made = ConvertedConfig(
        file=str(request.file),
        path=str(target) if request.write else None,
        toml=text,
        mapped=tuple(parts.mapped),
        assumed=tuple(map(_line, parts.assumed)),
        unmapped=tuple(Unmapped(source=_line(one.source), why=_line(one.why)) for one in parts.unmapped),
        environment=tuple(parts.environment.values()),
        commands=tuple(dict.fromkeys(map(_line, parts.commands))),
    )
    _check_without_secrets(made, document, request.file)
    if request.write:
        with (
            files.writing(f"{target}: cannot be written", hint="choose another folder with --dir"),
            files.shared(target),
        ):
            request.folder.mkdir(parents=True, exist_ok=True)
            files.write(target, text)
    return made


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
                and not one.strip().startswith(_REFERS)
            )
            if is_secret:
                yield at, one.strip()
        else:
            yield from _secrets(one, at)
