"""Read what an application logged, line by line: OpenAI fine-tuning files, request/response pairs, CSV, JSON lines.

Covered: UTF-8 JSON lines and CSV with a header; files of any length (one record in memory at a time); tools and
response formats kept. A bad record is yielded as a `Reject` with its line number and reason; reading goes on.
Not covered: other vendors' export formats; compressed files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold.errors import InputError
from freehold.types.config import DataConfig
from freehold.types.record import Record

Format = Literal["openai", "pairs", "csv", "jsonl"]

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MAX_LINE_BYTES = 16 * 1024 * 1024


class Imported(Record, frozen=True, kw_only=True):
    """One record of a file in the common shape: a chat request and its answer."""

    line: int
    request: dict[str, Any]
    response: dict[str, Any] | None
    id: str | None = None
    gold: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    metadata: dict[str, Any] = {}


class Reject(Record, frozen=True, kw_only=True):
    """One record that could not be used. `text` is the record as it stood (the first 2,000 characters)."""

    line: int
    reason: str
    text: str


class _BadRecord(Exception):
    """Why one record cannot be used; never leaves this file."""


def sniff(path: Path) -> Format:
    """Tell the format from the name and the first record.

    Raises `InputError` when the file cannot be read, is empty or is nothing freehold knows.
    """
    if path.suffix.lower() in {".csv", ".tsv"}:
        return "csv"
    for _, text in _lines(path):
        if not text.strip():
            continue
        try:
            first = msgspec.json.decode(text)
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
            continue
        if isinstance(first, dict):
            if "request" in first:
                return "pairs"
            return "openai" if "messages" in first else "jsonl"
    raise InputError(
        "no record that looks like JSON lines or CSV",
        path=str(path),
        hint="name the format in [data] format, or with --format: openai, pairs, csv, jsonl",
    )


def read(path: Path, data: DataConfig | None = None) -> Iterator[Imported | Reject]:
    """Read every record of `path` in file order.

    Raises `InputError` when the file itself cannot be read or lacks the columns `data` names; a bad record
    is yielded as a `Reject`.
    """
    data = data or DataConfig()
    kind = sniff(path) if data.format == "auto" else data.format
    if kind == "csv":
        yield from _read_csv(path, data)
        return
    convert = {"openai": _from_openai, "pairs": _from_pair, "jsonl": _from_columns}[kind]
    for line, text in _lines(path):
        if not text.strip():
            continue
        try:
            if len(text) > MAX_LINE_BYTES:
                raise _BadRecord(f"record of {len(text):,} bytes, at most {MAX_LINE_BYTES:,} are read")
            yield convert(line, _decode(text), data)
        except _BadRecord as bad:
            yield Reject(line=line, reason=str(bad), text=text[:2000].decode("utf-8", "replace"))


def size_bytes(path: Path) -> int:
    """The size of a file. Raises `InputError` when it is not there or cannot be looked at."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise InputError(
            "no such file", path=str(path), hint="paths in freehold.toml are relative to that file"
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, start=1)
    except FileNotFoundError:
        raise InputError(
            "no such file", path=str(path), hint="paths in freehold.toml are relative to that file"
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None


def _decode(text: bytes) -> dict[str, Any]:
    try:
        record = msgspec.json.decode(text)
    except UnicodeDecodeError:
        raise _BadRecord("not valid UTF-8") from None
    except msgspec.DecodeError as error:
        raise _BadRecord(f"not valid JSON: {error}") from None
    except RecursionError:
        raise _BadRecord("JSON nested too deeply") from None
    if not isinstance(record, dict):
        raise _BadRecord(f"expected a JSON object, got {type(record).__name__}")
    return record


def _common(record: dict[str, Any]) -> dict[str, Any]:
    """Fields any JSON record may carry beside its conversation."""
    metadata = record.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise _BadRecord("metadata is not an object")
    return {
        "id": _text_or_none(record.get("id")),
        "gold": _answer_text(record.get("gold")),
        "conversation_id": _text_or_none(record.get("conversation_id")),
        "user": _text_or_none(record.get("user")),
        "metadata": metadata or {},
    }


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _answer_text(value: Any) -> str | None:
    """An answer as text: strings as they are, structures as compact JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _from_openai(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    """OpenAI's chat fine-tuning format: the last assistant message is the answer."""
    messages = _messages(record.get("messages"))
    if messages[-1]["role"] != "assistant":
        raise _BadRecord("the last message is not from the assistant")
    answer = messages[-1]
    if not answer.get("content") and not answer.get("tool_calls"):
        raise _BadRecord("the assistant's last message is empty")
    if not any(message["role"] == "user" for message in messages[:-1]):
        raise _BadRecord("no user message before the assistant's answer")
    request: dict[str, Any] = {"model": str(record.get("model", "")), "messages": messages[:-1]}
    for key in ("tools", "response_format", "parallel_tool_calls"):
        if record.get(key) is not None:
            request[key] = record[key]
    return Imported(line=line, request=request, response=_completion(answer), **_common(record))


def _from_pair(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    """A logged request and its logged response, each as the OpenAI chat API spells them."""
    request, response = record.get("request"), record.get("response")
    if not isinstance(request, dict):
        raise _BadRecord("request is not an object")
    request = {**request, "messages": _messages(request.get("messages"))}
    if response is None and record.get("gold") is None:
        raise _BadRecord("neither a response nor a gold answer")
    if response is not None:
        if not isinstance(response, dict):
            raise _BadRecord("response is not an object")
        choices = response.get("choices")
        if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
            raise _BadRecord("response has no choices")
        if not isinstance(choices[0].get("message"), dict):
            raise _BadRecord("response's first choice has no message")
    return Imported(line=line, request=request, response=response, **_common(record))


def _from_columns(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    """A flat record: one field is the input, one the label."""
    source, label = data.input or "input", data.label or "label"
    text = record.get(source)
    if not isinstance(text, str) or not text.strip():
        raise _BadRecord(f"field {source!r} is missing or empty")
    gold = _answer_text(record.get(label))
    incumbent = _answer_text(record.get(data.incumbent)) if data.incumbent else None
    if gold is None and incumbent is None:
        raise _BadRecord(f"field {label!r} is missing")
    messages = [{"role": "user", "content": text}]
    if data.system:
        messages.insert(0, {"role": "system", "content": data.system})
    common = _common({key: record.get(key) for key in ("id", "conversation_id", "user")})
    used = {source, label, data.incumbent, "id", "conversation_id", "user"}
    common["metadata"] = {key: value for key, value in record.items() if key not in used}
    common["gold"] = gold
    response = None if incumbent is None else _completion({"role": "assistant", "content": incumbent})
    return Imported(line=line, request={"model": "", "messages": messages}, response=response, **common)


def _read_csv(path: Path, data: DataConfig) -> Iterator[Imported | Reject]:
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise InputError(
            "no such file", path=str(path), hint="paths in freehold.toml are relative to that file"
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
    with raw:
        # Replacement characters mark undecodable bytes, so that the row can be rejected by its number.
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
        reader = csv.DictReader(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        header = reader.fieldnames or []
        for wanted in (data.input or "input", data.label or "label"):
            if wanted not in header:
                raise InputError(
                    f"no column {wanted!r}; columns are: {', '.join(header) or 'none'}",
                    path=str(path),
                    line=1,
                    hint="name the columns in [data] input and label",
                )
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Reject(line=reader.line_num, reason=f"not valid CSV: {error}", text="")
                continue
            shown = msgspec.json.encode({str(key): value for key, value in row.items()}).decode()[:2000]
            try:
                if None in row:
                    raise _BadRecord("more fields than the header has columns")
                if "�" in shown:
                    raise _BadRecord("not valid UTF-8")
                filled = {key: value for key, value in row.items() if value not in (None, "")}
                yield _from_columns(reader.line_num, filled, data)
            except _BadRecord as bad:
                yield Reject(line=reader.line_num, reason=str(bad), text=shown)


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise _BadRecord("messages is missing or empty")
    for number, message in enumerate(value):
        if not isinstance(message, dict):
            raise _BadRecord(f"messages[{number}] is not an object")
        role = message.get("role")
        if role not in ROLES:
            raise _BadRecord(f"messages[{number}] has role {role!r}")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise _BadRecord(f"messages[{number}] has content of type {type(content).__name__}")
        if content is None and not message.get("tool_calls"):
            raise _BadRecord(f"messages[{number}] has no content")
    return value


def _completion(message: dict[str, Any]) -> dict[str, Any]:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
