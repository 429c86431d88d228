"""Read another tool's configuration: YAML, JSON, JSON lines or TOML, within bounds: files of strangers may do harm.

Covered: files that are too long; YAML with tags (refused), with aliases or merged keys that unfold to more than they
look like, nested too deep, with numbers that take minutes to compute; documents that are neither a mapping nor a list.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import yaml

from freehold import files
from freehold.errors import InputError

MOST_BYTES = 4 * 1024 * 1024
"""The longest file that is read whole; of a longer one of JSON lines, this much."""
MOST_VALUES = 100_000
"""Values that a file may hold, counted as often as they are referred to."""
MOST_DEPTH = 50


def read_document(path: Path) -> Any:
    """The content of a file as plain values: a mapping or a list; JSON lines are a list of their records.

    Raises `InputError` for a file that cannot be read, is none of these, or holds more than a configuration does.
    """
    with files.reading(path):
        if not path.is_file():  # a pipe would be waited for without end
            raise InputError("expected a file", path=str(path))
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    is_lines = path.suffix.lower() in (".jsonl", ".ndjson")
    if len(raw) > MOST_BYTES and not is_lines:
        raise InputError(
            f"holds more than {MOST_BYTES:,} bytes, which no configuration does",
            path=str(path),
            hint="a log of traffic is read by: freehold import FILE",
        )
    try:
        text = raw.decode("utf-8-sig", errors="ignore" if is_lines else "strict")
    except UnicodeDecodeError:
        raise InputError("not UTF-8", path=str(path)) from None
    try:
        found = _parsed(text, path, is_lines=is_lines)
    except RecursionError:
        raise InputError("nested too deep to be read", path=str(path)) from None
    _check_size(found, path)
    if not isinstance(found, dict | list) or not found:
        raise InputError(
            "holds neither a mapping nor a list",
            path=str(path),
            hint="freehold import-config --help lists the tools",
        )
    return found


def _parsed(text: str, path: Path, *, is_lines: bool) -> Any:
    if is_lines:
        return _json_lines(text, path)
    if path.suffix.lower() == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"not valid TOML: {error}", path=str(path)) from None
    if text.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, ValueError) as error:
            if path.suffix.lower() == ".json":
                raise InputError(f"not valid JSON: {error}", path=str(path)) from None
    return _yaml(text, path)


def _json_lines(text: str, path: Path) -> list[Any]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would break a text at U+2028, too
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, ValueError) as error:
            if number > 1:  # the last line may have been cut
                break
            raise InputError(f"not valid JSON: {error}", path=str(path), line=number) from None
        if len(found) == 1000:
            break
    return found


def _yaml(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 -- a loader of plain values only
    except yaml.constructor.ConstructorError as error:
        raise InputError(
            f"YAML that is more than plain values: {error.problem}",
            path=str(path),
            line=None if error.problem_mark is None else error.problem_mark.line + 1,
            hint="tags such as !!python or !include are not read: write out what they stand for",
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(
            f"not valid YAML: {error.problem or error.context}",
            path=str(path),
            line=None if mark is None else mark.line + 1,
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"not valid YAML: {str(error)[:200]}", path=str(path)) from None


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's safe loader without dates and without numbers that are long or to the base of 60, and with a bound to
    what merged keys unfold to."""

    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        self.merged += len(node.value)
        if self.merged > MOST_VALUES:
            raise yaml.constructor.ConstructorError(
                None, None, f"merged keys unfold to more than {MOST_VALUES:,} values", node.start_mark
            )


_PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]{0,18})$"), list("-+0123456789")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]{0,30}(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,3})?$"),
    list("-+0123456789"),
)


def _check_size(found: Any, path: Path) -> None:
    """Aliases share what they refer to: loading is cheap where walking is without end."""
    left = MOST_VALUES
    waiting = [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MOST_DEPTH:
            raise InputError(
                f"holds more than {MOST_VALUES:,} values or {MOST_DEPTH} levels, which no configuration does",
                path=str(path),
            )
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(one, depth + 1) for one in inner]
