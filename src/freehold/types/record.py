"""The base of all records, how ids are made, and how records are read strictly from what people write.

A range stands next to its field, as ``Annotated[float, msgspec.Meta(gt=0, lt=1)]``; a `description` in the `Meta`
takes the place of the range in messages and in the reference page.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from freehold.errors import ConfigError, UsageError, did_you_mean


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value. Unknown keys of stored or received records are tolerated."""

    def __repr__(self) -> str:
        summary = getattr(self, "summary", None)
        return f"{type(self).__name__}({summary()})" if callable(summary) else super().__repr__()

    def __str__(self) -> str:
        summary = getattr(self, "summary", None)
        return str(summary()) if callable(summary) else repr(self)


class StoredRecord(Record, frozen=True, kw_only=True):
    """A record that the store keeps, one for each `kind` and `key`. Databases of released versions hold both."""

    kind: ClassVar[str]
    key_field: ClassVar[str] = "id"
    unaudited: ClassVar[str | None] = None
    """Why a change of such a record needs no entry in the audit record; None where it gets one."""

    @property
    def key(self) -> str:
        """Tells the record from others of its kind; one with the same key takes its place."""
        return str(getattr(self, self.key_field))


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the bytes that content hashes are taken over."""
    return msgspec.json.encode(value, order="deterministic")


def content_id(value: Any) -> str:
    """Id of content: the first 32 hex digits (128 bits) of the SHA-256 of its canonical JSON."""
    data = value if isinstance(value, bytes) else canonical_json(value)
    return hashlib.sha256(data).hexdigest()[:32]


# The bits of a UUIDv7 behind its time that are not drawn, version and variant, and what stands in them.
_FIXED_BITS, _VERSION_7 = 0xF000_C000_0000_0000_0000, 0x7000_8000_0000_0000_0000


def event_id(unix_ms: int) -> str:
    """UUIDv7 (RFC 9562, section 5.7) for something that happened at `unix_ms`: sorts by time."""
    drawn = int.from_bytes(os.urandom(10), "big") & ~_FIXED_BITS | _VERSION_7
    text = ((unix_ms & ((1 << 48) - 1)) << 80 | drawn).to_bytes(16, "big").hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


T = TypeVar("T", bound=msgspec.Struct)

FINITE = sys.float_info.max
"""An upper bound that keeps infinity out and is not worth telling."""

MOST_USD = Decimal(10**9)
"""No amount of money that a person writes is larger: what is, is a slip."""


def read(
    raw: Mapping[str, Any],
    kind: type[T],
    where: str,
    *,
    noun: str = "key",
    error: type[UsageError] = ConfigError,
    hint: str | None = None,
    line_of: Callable[[str], int | None] = lambda _: None,
) -> T:
    """`raw` as a `kind`. `where` (a file, an engine) begins an error's message; `noun` is what a field is called, and
    `line_of` knows its line in the file.

    Raises `error`: for an unknown key with the nearest known one (else `hint`, else all known ones), for a wrong type
    with the path of the key, for a value out of range with the value and what is allowed as well. A `Decimal` is an
    amount of money, from 0 to `MOST_USD`.
    """
    for path, known in _unknown(raw, kind, ()):
        raise error(
            f"{_at(where, line_of('.'.join(path)))}: unknown {noun} {'.'.join(path)}",
            hint=did_you_mean(path[-1], known, hint or f"known: {', '.join(sorted(known)) or 'none'}"),
        )
    try:
        made = msgspec.convert(raw, kind)
    except msgspec.ValidationError as fault:
        at = _at(where, line_of(str(fault).partition(" - at `$")[2].strip(".`")))
        raise error(f"{at}: {_in_words(fault, raw, kind, noun)}") from None
    for path, amount in _amounts(made, ()):
        # Not by comparing alone: NaN is refused by `Decimal` with an error of its own, where it is not simply false.
        if not amount.is_finite() or not 0 <= amount <= MOST_USD:
            at = _at(where, line_of(".".join(path)))
            raise error(f"{at}: {'.'.join(path)} is {str(amount)[:40]}, expected 0 to {MOST_USD:,}")
    return made


def _at(where: str, line: int | None) -> str:
    return where if line is None else f"{where}:{line}"


def misfit(record: msgspec.Struct) -> str | None:
    """What is wrong with a record made in code, as ``epochs is -1.0, expected at least 0``; None when it fits."""
    raw = msgspec.to_builtins(record)
    try:
        msgspec.convert(raw, type(record))
    except msgspec.ValidationError as fault:
        return _in_words(fault, raw, type(record))
    return None


def range_of(annotation: Any) -> str:
    """What an annotation allows, in words: ``from 0 to below 1``; empty where it sets no range."""
    for part in _parts(annotation):
        for meta in getattr(part, "__metadata__", ()):
            return meta.description or _range(meta)
    return ""


def _range(meta: msgspec.Meta) -> str:
    if meta.min_length is not None:
        return f"at least {meta.min_length} of them"
    most = meta.le if meta.le != FINITE else None
    match meta.ge, meta.gt, most, meta.lt:
        case None, low, None, None:
            return f"above {low:g}"
        case None, low, None, high:
            return f"between {low:g} and {high:g}"
        case low, None, None, None:
            return f"at least {low:g}"
        case low, None, None, high:
            return f"from {low:g} to below {high:g}"
        case low, None, high, None:
            return f"from {low} to {high}"
        case other:
            raise AssertionError(f"a range without words: {other}")


def _unknown(
    raw: Mapping[str, Any], kind: type[msgspec.Struct], place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Sequence[str]]]:
    """Paths of unknown keys, with the keys known there."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in raw.items():
        if key not in kinds:
            yield (*place, key), list(kinds)
            continue
        inner = _table_of(kinds[key], value)
        if inner is not None:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict):
                    yield from _unknown(part, inner, (*place, key))


def _amounts(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Decimal]]:
    """Every amount of money in a record, with its path."""
    if isinstance(value, Decimal):
        yield place, value
    elif isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(type(value)):
            yield from _amounts(getattr(value, field.name), (*place, field.encode_name))
    elif isinstance(value, tuple):
        for at, one in enumerate(value):
            yield from _amounts(one, (*place, str(at)))


def _in_words(fault: msgspec.ValidationError, raw: Any, kind: type[msgspec.Struct], noun: str = "key") -> str:
    message, _, path = str(fault).partition(" - at `$")
    annotation: Any = kind
    value = raw
    for name in re.findall(r"\w+", path):
        if name.isdecimal():
            annotation = _table_of(annotation, value)
            value = value[int(name)]
            continue
        struct = _table_of(annotation, value)
        fields = msgspec.structs.fields(struct) if struct is not None else ()
        annotation = next((field.type for field in fields if field.encode_name == name), None)
        value = value.get(name) if isinstance(value, Mapping) else None
    shown = path.strip(".`") or "top level"
    if noun != "key" and path:
        shown = f"{noun} {shown}"
    if message.startswith("Invalid enum value") and (choices := _choices(annotation)):
        message = f"{message}, known: {', '.join(choices)}"
    allowed = range_of(annotation)
    if not allowed or ", got" in message:
        return f"{shown}: {message}"
    if any(getattr(part, "__origin__", part) is float for part in _parts(annotation)):
        value = float(value)
    return f"{shown} is {value}, expected {allowed}"


def _choices(annotation: Any) -> list[str]:
    """The words of a closed list, wherever in the annotation it stands."""
    if typing.get_origin(annotation) is typing.Literal:
        return [str(one) for one in typing.get_args(annotation)]
    return [word for part in typing.get_args(annotation) for word in _choices(part)]


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The members of a union or the elements of a container; of anything else, itself."""
    if typing.get_origin(annotation) is typing.Annotated:
        return (annotation,)
    return typing.get_args(annotation) or (annotation,)


def _table_of(annotation: Any, value: Any) -> type[msgspec.Struct] | None:
    """The table that a value of this annotation is, or a list of them; None where it holds none."""
    if _is_struct(annotation):
        return annotation  # type: ignore[no-any-return]
    lists = [part for part in _parts(annotation) if typing.get_origin(part) is tuple]
    if isinstance(value, list):
        parts = [inner for one in lists for inner in _parts(one)] or _parts(annotation)
    else:
        parts = _parts(annotation)
    return next((part for part in parts if _is_struct(part)), None)


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


AtLeastOne = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0, le=FINITE)]
Positive = Annotated[float, Meta(gt=0, le=FINITE)]
Share = Annotated[float, Meta(ge=0, le=1)]
ShareBelowOne = Annotated[float, Meta(ge=0, lt=1)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `freehold.toml`."""
