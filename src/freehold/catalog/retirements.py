"""When proprietary models are shut down, by platform: `retirements/`, one file a platform.

A file lists the pages that were read and, under each, what it says: models with the day they end (`[[notices]]`),
models
that are deprecated or gone without a published day (`[[undated]]`), and models it names as available (`[[active]]`).
"""

from __future__ import annotations

import functools
import re
from datetime import date
from typing import Any, Literal, get_args

import msgspec

from freehold.catalog import read
from freehold.types.cost import Ending

Platform = Literal[
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "groq",
    "xai",
    "deepseek",
    "azure",
    "vertex",
    "bedrock",
]
HOSTS: tuple[Platform, ...] = ("azure", "vertex", "bedrock")
"""Platforms that serve models of other makers under the makers' names: an id alone does not mean them."""

STALE_DAYS = 45
"""A day still to come that was read from a copy older than this is called stale: vendors move dates."""

HOLE = "\0"
"""Stands in a name for a part that is known only when the program runs."""

_BEDROCK = re.compile(
    r"(?:arn:aws[\w-]*:bedrock:.*/)?(?:bedrock(?:_converse|_mantle)?[/:])?(?:(?:converse|invoke)/)?(?:[a-z]{2}(?:-\w+)+-\d/)?"
    r"(?:(?:us-gov|us|eu|apac|global|jp|au|ca)\.)?((?:anthropic|amazon|meta|cohere|ai21|mistral|stability|twelvelabs)\..+)"
)
_ANTHROPIC = re.compile(r"anthropic\.(.+?)(?:-v\d+(?::\d+)?)?")
_VERTEX = re.compile(r"(?:projects/.+/)?publishers/[\w-]+/models/([^/:]+)")

PREFIXES: dict[str, Platform] = {
    "openai": "openai", "text-completion-openai": "openai", "anthropic": "anthropic", "azure": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure", "vertex_ai": "vertex", "vertex_ai_beta": "vertex", "google_vertexai": "vertex",
    "google-vertex": "vertex", "gemini": "google", "google": "google", "google_genai": "google", "google-gla": "google",
    "models": "google", "mistral": "mistral", "mistralai": "mistral", "cohere": "cohere", "cohere_chat": "cohere",
    "groq": "groq", "xai": "xai", "x-ai": "xai", "deepseek": "deepseek",
}  # fmt: skip
"""What routers and libraries write before a model's name, with ``/`` or ``:``, and the platform it shows."""


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a vendor: which copy of it was read, the day whose state it shows (`as_of`), the day it was read."""

    url: str
    copy: str
    as_of: date
    checked: date


class Retirement(msgspec.Struct, frozen=True, kw_only=True):
    """A model's end on one platform. `aliases` are names that point to the model today; `fine_tunes` says what
    becomes of models tuned from it (None: the page says nothing). `shared`: hubs and other hosts use the name, too;
    `plain_word`: it is a word of the language."""

    model: str
    vendor: str
    platform: Platform
    shutdown: date
    source: str
    as_of: date
    checked: date
    aliases: tuple[str, ...] = ()
    announced: date | None = None
    replacement: str | None = None
    fine_tunes: str | None = None
    shared: bool = False
    plain_word: bool = False

    def days_left(self, today: date) -> int:
        """Days until the shutdown; negative after it."""
        return (self.shutdown - today).days

    def is_stale(self, today: date) -> bool:
        """Is the day still to come, and read from too old a copy to rely on? A day that has passed stays true."""
        return self.shutdown >= today and (today - self.as_of).days > STALE_DAYS

    @property
    def cited(self) -> str:
        """Source with its days."""
        return f"{self.source}, as of {self.as_of}, read {self.checked}"


class UndatedRetirement(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is deprecated, or `retired` already, without a published day of its end."""

    model: str
    vendor: str
    platform: Platform
    source: str
    as_of: date
    checked: date
    retired: bool = False
    deprecated: date | None = None
    replacement: str | None = None
    shared: bool = False
    plain_word: bool = False

    @property
    def cited(self) -> str:
        """Source with its days."""
        return f"{self.source}, as of {self.as_of}, read {self.checked}"


class _Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    page: str
    models: tuple[str, ...]
    shutdown: date | None = None
    announced: date | None = None
    deprecated: date | None = None
    retired: bool = False
    replacement: str | None = None
    fine_tunes: str | None = None
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    shared: bool = False
    plain_words: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    platform: Platform
    vendor: str
    pages: dict[str, Page]
    notices: tuple[_Notice, ...]
    undated: tuple[_Notice, ...] = ()
    active: tuple[_Notice, ...] = ()

    def facts(self, notice: _Notice) -> dict[str, Any]:
        """What each model of a notice has in common."""
        page = self.pages[notice.page]
        return {
            "platform": self.platform, "vendor": self.vendor, "source": f"{page.url} ({page.copy})",
            "as_of": page.as_of,
            "checked": page.checked, "replacement": notice.replacement, "shared": notice.shared,
            "plain_word": notice.plain_words,
        }  # fmt: skip


@functools.cache
def _files() -> tuple[_File, ...]:
    return tuple(read(f"retirements/{name}.toml", _File) for name in get_args(Platform))


def pages() -> tuple[tuple[Platform, Page], ...]:
    """Every page that was read, with its platform."""
    return tuple((one.platform, page) for one in _files() for page in one.pages.values())


@functools.cache
def rows() -> tuple[Retirement, ...]:
    """All models with a day, by platform."""
    found = []
    for file in _files():
        for notice in file.notices:
            assert notice.shutdown is not None, notice
            for model in notice.models:
                found.append(
                    Retirement(
                        model=model,
                        shutdown=notice.shutdown,
                        announced=notice.announced,
                        fine_tunes=notice.fine_tunes,
                        aliases=tuple(name for name, of in notice.aliases.items() if of == model),
                        **file.facts(notice),
                    )
                )
    return tuple(found)


@functools.cache
def undated_rows() -> tuple[UndatedRetirement, ...]:
    """All models that are deprecated or gone without a day."""
    return tuple(
        UndatedRetirement(
            model=model, retired=notice.retired, deprecated=notice.deprecated, **file.facts(notice)
        )
        for file in _files()
        for notice in file.undated
        for model in notice.models
    )


@functools.cache
def _active() -> dict[str, tuple[tuple[Platform, Page], ...]]:
    found: dict[str, list[tuple[Platform, Page]]] = {}
    for file in _files():
        for notice in file.active:
            for model in notice.models:
                found.setdefault(_key(model), []).append((file.platform, file.pages[notice.page]))
    return {name: tuple(some) for name, some in found.items()}


@functools.cache
def _by_name() -> dict[str, tuple[Retirement, ...]]:
    found: dict[str, list[Retirement]] = {}
    for row in rows():
        for name in (row.model, *row.aliases):
            found.setdefault(_key(name), []).append(row)
    return {name: tuple(some) for name, some in found.items()}


@functools.cache
def _undated_by_name() -> dict[str, tuple[UndatedRetirement, ...]]:
    found: dict[str, list[UndatedRetirement]] = {}
    for row in undated_rows():
        found.setdefault(_key(row.model), []).append(row)
    return {name: tuple(some) for name, some in found.items()}


def _key(name: str) -> str:
    return name.lower().replace("@", "-")


def plain_id(model_id: str) -> tuple[str, Platform | None]:
    """A model id without what a platform or a router puts around it, and the platform that shows.

    ``ft:gpt-4o-2024-08-06:acme::x`` → its base; ``us.anthropic.claude-sonnet-4-20250514-v1:0`` → bedrock;
    ``claude-sonnet-4@20250514`` → vertex; ``azure/gpt-4o`` → azure; ``openai/gpt-4o``, ``openai:gpt-4o`` → openai.
    """
    name = model_id.strip().removeprefix("openrouter/")
    tuned = re.fullmatch(r"ft:([^:]+).*", name)
    if tuned:
        return tuned.group(1), "openai"
    if bedrock := _BEDROCK.fullmatch(name):
        inner = bedrock.group(1)
        anthropic = _ANTHROPIC.fullmatch(inner)
        return (anthropic.group(1) if anthropic else inner), "bedrock"
    if vertex := _VERTEX.fullmatch(name):
        return vertex.group(1).replace("@", "-"), "vertex"
    head = re.match(r"([\w-]+)[/:]", name)
    if head and head.group(1).lower() in PREFIXES and _key(name) not in _by_name():
        platform = PREFIXES[head.group(1).lower()]
        return plain_id(name[head.end() :])[0], platform
    if "@" in name:
        return name.replace("@", "-"), "vertex"
    return name, None


def find(model_id: str, platform: Platform | None = None) -> tuple[Retirement, ...]:
    """Rows of a model, by id, alias or fine-tune; of one platform, or, when none shows, the vendor's own first."""
    name, shown = plain_id(model_id)
    wanted = platform or shown
    found = _by_name().get(_key(name), ())
    if wanted is not None:
        return tuple(row for row in found if row.platform == wanted)
    return tuple(sorted(found, key=lambda row: (row.platform in HOSTS, row.shared)))


def undated(model_id: str, platform: Platform | None = None) -> UndatedRetirement | None:
    """What is known of a model that is deprecated or gone without a published day; None for others."""
    name, shown = plain_id(model_id)
    wanted = platform or shown
    found = _undated_by_name().get(_key(name), ())
    return next((row for row in found if wanted in (None, row.platform)), None)


def active_on(model_id: str) -> tuple[Platform, Page] | None:
    """The platform whose page names the model as available without an end, and that page; None where none does."""
    name, shown = plain_id(model_id)
    found = _active().get(_key(name), ())
    return next((one for one in found if shown in (None, one[0])), None)


def completions(pattern: str) -> tuple[str, ...]:
    """Every known name (id or alias, lower case) that a name with `HOLE`s in it can become, in order. Empty where the
    known parts say too little: fewer than four characters before the first hole."""
    pattern = _key(pattern)
    if len(pattern.split(HOLE)[0]) < 4:
        return ()
    wanted = re.compile(r"[\w.:+-]*".join(re.escape(part) for part in pattern.split(HOLE)))
    return tuple(name for name in known_names() if wanted.fullmatch(name))


@functools.cache
def known_names() -> tuple[str, ...]:
    """Every id and alias that a page names, lower case, in order; without those that are words of a language, too."""
    plain = {_key(row.model) for row in rows() if row.plain_word}
    plain |= {_key(row.model) for row in undated_rows() if row.plain_word}
    return tuple(sorted({*_by_name(), *_undated_by_name(), *_active()} - plain))


def meant(model_id: str, platform: Platform | None = None) -> tuple[Retirement, ...]:
    """Rows that an id by itself means: its maker's own. Those of a host (Azure, Vertex, Bedrock) count where `platform`
    or the id shows the host, and where no maker is known to serve the model."""
    found = find(model_id, platform)
    if platform is not None or plain_id(model_id)[1] is not None:
        return found
    own = tuple(row for row in found if row.platform not in HOSTS)
    served = active_on(model_id)
    return own or (() if served is not None and served[0] not in HOSTS else found)


def retirement_of(model_id: str) -> Retirement | None:
    """The announced end of a model where it is served (its maker's own API unless the id says otherwise); None
    where none is known, which promises nothing. A fine-tune ends with its base only where the vendor says so."""
    found = meant(model_id)
    if model_id.strip().startswith("ft:"):
        found = tuple(row for row in found if row.fine_tunes)
    return next(iter(found), None)


def ending_of(model_id: str) -> Ending | None:
    """The same, under the name that was asked for."""
    row = retirement_of(model_id)
    if row is None:
        return None
    return Ending(model=model_id, shutdown=row.shutdown, replacement=row.replacement)


def names() -> frozenset[str]:
    """Every id and alias with a row, lower case."""
    return frozenset(_by_name())
