"""The use profile: checked strictly, written into `[use]` of freehold.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.errors import ConfigError
from freehold.types import record
from freehold.types.use import UseProfile, check_use

FIELDS: tuple[str, ...] = UseProfile.__struct_fields__
_TYPES = {field.name: str(field.type) for field in msgspec.structs.fields(UseProfile)}

QUESTIONS: tuple[tuple[str, str], ...] = (
    ("mode", "How is it used (internal, hosted_service, embedded_product, distribute_weights, research …)?"),
    ("commercial", "Is the use commercial (true, false)?"),
    ("seat", "Where are you established (ISO country code, for example DE)?"),
    ("regions", "Where is it offered (codes with commas, for example EU, US)?"),
    ("monthly_active_users", "Monthly active users of the product today?"),
    ("mau_group_month_before_release", "Users of your whole group in the month before the model's release?"),
    ("annual_revenue_usd", "Annual revenue in US dollars?"),
    ("group_revenue_usd", "Annual revenue of the whole group in US dollars?"),
    ("product_type", "What kind of product (chatbot, model_as_a_service, coding_assistant …)?"),
    ("purpose", "What is a model you train for (classifier, chat assistant …)?"),
    ("domain", "A sensitive field (medical_advice, military, automated_decision_credit …)?"),
    ("derivative_name", "Under which name is your model published?"),
)


def with_settings(use: UseProfile, settings: tuple[str, ...]) -> UseProfile:
    """The profile with ``key=value`` settings laid over it. Raises `ConfigError` for an unknown key or value."""
    known = _stated(use)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected KEY=VALUE")
        known[key.strip()] = parse_value(key.strip(), value.strip())
    return _convert(known, "--set")


def with_values(use: UseProfile, values: Mapping[str, Any]) -> UseProfile:
    """The profile with typed values laid over it. Raises `ConfigError` for an unknown key or another type."""
    return _convert({**_stated(use), **values}, "use")


def parse_value(key: str, text: str) -> Any:
    """A typed value from what a person typed: numbers with separators, true and false, lists with commas.

    What does not read as the key's type stays a text, and is refused with what the key may be.
    """
    kind = _TYPES.get(key, "")
    if "tuple" in kind:
        return [part.strip() for part in text.split(",") if part.strip()]
    if "bool" in kind and text.lower() in ("true", "yes", "y"):
        return True
    if "bool" in kind and text.lower() in ("false", "no", "n"):
        return False
    plain = re.sub(r"[_,\s$]", "", text)
    return int(plain) if re.search(r"\bint\b", kind) and plain.isdigit() else text


def _convert(table: dict[str, Any], where: str) -> UseProfile:
    check_use(table, where)
    return record.read(table, UseProfile, where, hint="freehold settings --keys use lists the keys")


def _stated(use: UseProfile) -> dict[str, Any]:
    default = UseProfile()
    return {key: getattr(use, key) for key in FIELDS if getattr(use, key) != getattr(default, key)}


def use_table(use: UseProfile) -> str:
    """The `[use]` table as TOML text; what is not known is left out."""
    lines = ["[use]"]
    for key, value in _stated(use).items():
        shown = f"{value:_}" if type(value) is int else msgspec.json.encode(value).decode()
        lines.append(f"{key} = {shown}")
    return "\n".join(lines) + "\n"


def write_use(path: Path, use: UseProfile) -> None:
    """Put the `[use]` table into a freehold.toml, in place of the one there; the rest stays as it is.

    A file that does not exist is made, with an `[app]` named after its folder.
    """
    with files.writing(f"{path}: cannot be written"), files.shared(path):
        text = path.read_text(encoding="utf-8-sig") if path.exists() else _new(path)
        table = use_table(use)
        found = re.search(r"^\[use\][^\n]*\n(?:(?!^\[)[^\n]*\n?)*", text, re.MULTILINE)
        if found:
            tail = "\n" if text[found.end() :].strip() else ""
            text = text[: found.start()] + table + tail + text[found.end() :]
        else:
            text = text.rstrip("\n") + "\n\n" + table
        path.write_text(text, encoding="utf-8")


def _new(path: Path) -> str:
    return f"[app]\nname = {msgspec.json.encode(path.absolute().parent.name).decode()}\n"
