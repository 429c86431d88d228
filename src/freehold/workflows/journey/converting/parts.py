"""The parts of a `freehold.toml` as a converter gathers them, and their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from freehold.errors import InputError, UsageError, did_you_mean
from freehold.types.config import usable_name
from freehold.types.record import Record
from freehold.visible import one_line
from freehold.workflows.journey.converting.addresses import VendorAddress
from freehold.workflows.journey.drafting import quoted

_REFERENCE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]{0,120})")
_LONGEST_NAME = 60
_MOST_TARGETS = 20_000
Table = dict[str, Any]


class Mapped(Record, frozen=True, kw_only=True):
    """Something of the file and what it became."""

    source: str
    """Where it stands in the file."""
    target: str
    """The table or key of `freehold.toml`."""


class Unmapped(Record, frozen=True, kw_only=True):
    """Something of the file that has no counterpart, and why, or what to do instead."""

    source: str
    why: str


class Variable(Record, frozen=True, kw_only=True):
    """An environment variable to set. `source` is where its value stands in the file, where it does."""

    name: str
    source: str | None


class ConvertedConfig(Record, frozen=True, kw_only=True):
    """LiteLLM's configuration as a `freehold.toml`. `path` is where it was written, None where it was only
    shown; `assumed` is what the file does not say, `commands` what is done by commands instead of by the file."""

    file: str
    path: str | None
    toml: str
    mapped: tuple[Mapped, ...]
    assumed: tuple[str, ...]
    unmapped: tuple[Unmapped, ...]
    environment: tuple[Variable, ...]
    commands: tuple[str, ...]


class ConvertedModel(NamedTuple):
    """A model at an address; without `model` the name that clients send."""

    address: VendorAddress
    model: str | None


class ConfigParts:
    """What was found so far. No value of a key ever gets in here: `key` gives the name of a variable, which
    for a key that stands in the file is none of those that the file refers to (`referred`)."""

    def __init__(self, name: str, file: str, referred: frozenset[str] = frozenset()) -> None:
        self.name = usable_name(name)
        self.file = file
        self.incumbent: Table = {}
        self.endpoints: dict[VendorAddress, Table] = {}
        self.routes: list[Table] = []
        self.mapped: list[Mapped] = []
        self.assumed: list[str] = []
        self.unmapped: list[Unmapped] = []
        self.environment: dict[str, Variable] = {}
        self.commands: list[str] = []
        self._incumbent_at: VendorAddress | None = None
        self._keys: dict[str, str] = {}
        self._referred = referred
        self._targets = 0

    @property
    def has_anything(self) -> bool:
        """Whether something of the file became a part."""
        return bool(self.incumbent or self.endpoints or self.routes)

    def note(self, source: str, target: str) -> None:
        """Remember what became of something."""
        self.mapped.append(Mapped(source=source, target=target))

    def lacks(self, source: str, why: str) -> None:
        """Remember what has no counterpart."""
        self.unmapped.append(Unmapped(source=source, why=why))

    def assume(self, sentence: str) -> None:
        """Remember what the file does not say; each sentence once."""
        if sentence not in self.assumed:
            self.assumed.append(sentence)

    def one_of(self, names: Iterable[str], wanted: str | None) -> str | None:
        """The name that was asked for by ``--incumbent``; None where none was, or where the file has no names.

        Raises `UsageError` for a name that is not one of the file's: a proof against another model would be worthless.
        """
        known = list(dict.fromkeys(names))
        if wanted is None or not known:
            return None
        if wanted not in known:
            raise UsageError(
                f"--incumbent {wanted}: the file has nothing of this name",
                hint=did_you_mean(wanted, known, f"it has: {one_line(', '.join(known[:20]))[:400]}"),
            )
        return wanted

    def key(self, value: object, usual: str | None, where: str) -> str | None:
        """The environment variable that holds a key: the one that the file refers to, else `usual`, or one named after
        its place. A key that stands in the file itself is left there, and the variable is one to set."""
        text = value.strip() if isinstance(value, str) else ""
        if text.lower() in ("", "none", "null"):
            if usual is not None:
                self.environment.setdefault(usual, Variable(name=usual, source=None))
            return usual
        if reference := _REFERENCE.fullmatch(text):
            self.environment.setdefault(reference[1], Variable(name=reference[1], source=None))
            return reference[1]
        if text not in self._keys:
            taken = {*self._keys.values(), *self._referred}
            self._keys[text] = name = unique(usual or "MODEL_API_KEY", taken, "_")
            self.environment[name] = Variable(name=name, source=where)
        return self._keys[text]

    def set_incumbent(self, asked: ConvertedModel, source: str) -> None:
        """Say who is paid for today."""
        place = asked.address
        self._incumbent_at = place
        self.incumbent = {"model": asked.model, **_address_keys(place)}
        if place.api == "ollama":
            self.incumbent["api"] = "openai"
            self.incumbent["base_url"] = f"{(place.base_url or '').rstrip('/')}/v1"
        self.note(source, "[incumbent]")

    def endpoint(self, place: VendorAddress) -> str:
        """The name of the endpoint with this address; `incumbent` for the one that is paid for."""
        if place == self._incumbent_at:
            return "incumbent"
        if place not in self.endpoints:
            used = {"incumbent", "local", *(one["name"] for one in self.endpoints.values())}
            name = unique(plain_name(place.title), used)
            self.endpoints[place] = {"name": name, **_address_keys(place)}
        return str(self.endpoints[place]["name"])

    def target(self, asked: ConvertedModel) -> Table:
        """An endpoint and a model, as a route names them."""
        named = {"endpoint": self.endpoint(asked.address)}
        return named if asked.model is None else {**named, "model": asked.model}

    def route(self, model: str, asked: list[ConvertedModel], source: str, **more: Any) -> Table:
        """A route for a model's name: the first of `asked` answers, the others where it cannot be reached."""
        self._targets += len(asked)
        if self._targets > _MOST_TARGETS:
            raise InputError(
                f"its fallbacks unfold to more than {_MOST_TARGETS:,} targets, which no configuration's do",
                path=self.file,
            )
        targets = list({tuple(one.items()): one for one in map(self.target, asked)}.values())
        name = unique(plain_name(model) if model != "*" else "all", {one["name"] for one in self.routes})
        made: Table = {"name": name, "model": model, "incumbent": targets[0]}
        if targets[1:]:
            made["fallback"] = targets[1:]
        made |= {key: value for key, value in more.items() if value}
        self.routes.append(made)
        self.note(source, f"[[routes]] {name}")
        return made

    def toml(self) -> str:
        """The whole file."""
        file = json.dumps(self.file)[1:-1]
        lines = [f"# Converted from LiteLLM's {file} by freehold import-config.", ""]
        tables: list[tuple[str, Table]] = [("[app]", {"name": self.name})]
        tables += [("[incumbent]", self.incumbent)] if self.incumbent else []
        tables += [("[[endpoints]]", one) for one in self.endpoints.values()]
        tables += [("[[routes]]", one) for one in self.routes]
        for header, table in tables:
            lines += [header, *_lines(table), ""]
        return "\n".join(lines)


def _lines(table: Table) -> list[str]:
    return [f"{key} = {toml_value(value)}" for key, value in table.items() if value is not None]


def _address_keys(place: VendorAddress) -> Table:
    keys: Table = {}
    if place.preset is not None:
        keys["preset"] = place.preset
    if place.base_url is not None:
        keys["base_url"] = place.base_url
    if place.preset is None and place.api != "openai":
        keys["api"] = place.api
    if place.api_key_env is not None:
        keys["api_key_env"] = place.api_key_env
    if place.price is not None:
        keys["price"] = {"prompt": Decimal(place.price[0]), "completion": Decimal(place.price[1])}
    return keys


def plain_name(text: str) -> str:
    """A text as a name that commands and metrics can say."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "other"


def unique(name: str, used: Iterable[str], before: str = "-") -> str:
    """The name, with a number behind it where it is taken."""
    taken = set(used)
    made, number = name, 2
    while made in taken:
        made, number = f"{name}{before}{number}", number + 1
    return made


def referred_variables(document: Any) -> frozenset[str]:
    """The environment variables that a document refers to, wherever. Its size was bounded when it was read."""
    found = set()
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and (reference := _REFERENCE.fullmatch(value.strip())):
            found.add(reference[1])
    return frozenset(found)


def toml_value(value: Any) -> str:
    """A value as TOML spells it, tables inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        inner = [toml_value(one) for one in value]
        line = f"[{', '.join(inner)}]"
        return line if len(line) < 100 else "[\n" + "".join(f"  {one},\n" for one in inner) + "]"
    if isinstance(value, dict):
        inner = [f"{_toml_key(key)} = {toml_value(one)}" for key, one in value.items()]
        return f"{{ {', '.join(inner)} }}" if inner else "{}"
    return quoted(str(value))


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)
