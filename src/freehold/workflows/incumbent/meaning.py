"""What a string or an import says about rented models: a model's id, an SDK, an endpoint, a key's name."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Literal, NamedTuple

import msgspec

from freehold.catalog import retirements, tables
from freehold.catalog.retirements import HOLE, Platform, Retirement, UndatedRetirement
from freehold.types.application import ModelUseKind

SHOWN_HOLE = "{…}"


class Word(NamedTuple):
    """A string or an imported name. Lines and columns count from 1. In `text`, `HOLE` stands for each part that is
    known only when the program runs."""

    text: str
    line: int
    column: int
    kind: Literal["string", "import"]


def shown(text: str) -> str:
    """A text with holes as it is printed."""
    return text.replace(HOLE, SHOWN_HOLE)


class VendorSigns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[vendors]]` table of `signs.toml`: by which names code shows whose models it uses."""

    name: str
    platform: Platform | None = None
    packages: tuple[str, ...] = ()
    javascript: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@cache
def signs(kind: Literal["packages", "javascript", "parts", "hosts", "keys"]) -> dict[str, VendorSigns]:
    """The vendors by their signs of a kind."""
    return {sign: vendor for vendor in tables("signs.toml", VendorSigns) for sign in getattr(vendor, kind)}


_FAMILY_OF_PACKAGES = re.compile(
    r"(?:langchain_|@langchain/|@ai-sdk/|@llamaindex/|llama_index\.(?:llms|embeddings|multi_modal_llms)\.)([\w-]+)"
)
"""Families of packages with one part a vendor."""


class Meaning(NamedTuple):
    """`model` is set for ids only, `pattern` for those with a hole in them (`model` shows it as ``{…}``). `row` or
    `undated` is what the catalog knows of the model's end."""

    kind: ModelUseKind
    vendor: str
    how: str
    model: str | None = None
    pattern: str | None = None
    row: Retirement | None = None
    undated: UndatedRetirement | None = None
    is_named: bool = False


_IDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:ft:)?(?:chat)?gpt-(?!oss|neo|sw3|j\b|2\b)[\w.-]*\d[\w.:-]*"), "OpenAI"),
    (re.compile(r"o[134](?:-(?:mini|pro|preview|deep-research))?(?:-\d{4}-\d\d-\d\d)?"), "OpenAI"),
    (re.compile(r"(?:text-embedding|text-davinci|davinci|babbage|tts|dall-e)-[\w.-]+|whisper-\d"), "OpenAI"),
    (re.compile(r"(?:(?:us|eu|apac|global)\.)?anthropic\.claude-[\w.:-]+"), "Anthropic on Bedrock"),
    (re.compile(r"claude-(?:[\w.-]*\d[\w.-]*)(?:@\d{8})?"), "Anthropic"),
    (re.compile(r"gemini-[\w.-]*\d[\w.-]*"), "Google"),
    (re.compile(r"(?:command-[ra][\w.+-]*|embed-(?:english|multilingual)-[\w.-]+)"), "Cohere"),
    (
        re.compile(r"(?:mistral-(?:large|small|medium|tiny)|codestral|magistral-\w+)-(?:latest|\d{4})"),
        "Mistral AI",
    ),
    (re.compile(r"grok-\d[\w.-]*"), "xAI"),
)
_FAMILY = re.compile(
    r"(?:chat)?gpt-?|o[1345]-|claude-|gemini-|text-(?:embedding|davinci)-|dall-e-|mistral-(?:large|small|medium|tiny)|"
    r"(?:open-)?mi[sx]tral-|(?:code|magi|mini|dev|pix)stral-|ministral-|command-r|llama-?3|grok-|imagen-|veo-|sora-"
)
_PLACEHOLDER = re.compile(r"#?\$?\{\{?[^{}\s]*\}?\}|\$\w+|%(?:\(\w+\))?[sdrv]")


def meaning(word: Word, language: str = "", hosts: frozenset[Platform] = frozenset()) -> Meaning | None:
    """What the word says, or None. A whole string must be the id: text that mentions a model does not use it.

    `hosts` are platforms that the file shows otherwise (an SDK, an address): names which others use, too, count there.
    """
    text = word.text.strip()
    if not text or len(text) > 300:
        return None
    return _sdk(text, language) if word.kind == "import" else _string(text, hosts)


@lru_cache(maxsize=50_000)
def _string(text: str, hosts: frozenset[Platform]) -> Meaning | None:
    if text == "litellm_params":
        return Meaning("sdk", "several", "a configuration of LiteLLM")
    if (vendor := signs("keys").get(text.removeprefix("os.environ/"))) is not None:
        return Meaning("key", vendor.name, "names its API key")
    if re.search(r"\s", text):
        return None
    for host, vendor in signs("hosts").items():
        if host in text:
            return Meaning("endpoint", vendor.name, f"calls {host}")
    text = _filled(text)
    if HOLE in text:
        return _partial(text)
    return _whole(text, hosts)


def platform_of(found: Meaning) -> Platform | None:
    """The platform that an SDK, an endpoint or a key shows, where its names are shared with others."""
    return None if found.kind == "model_id" else _platforms().get(found.vendor)


@cache
def _platforms() -> dict[str, Platform | None]:
    return {vendor.name: vendor.platform for vendor in tables("signs.toml", VendorSigns)}


def _sdk(name: str, language: str) -> Meaning | None:
    package = name.split("/")[0]
    if language == "javascript" and (vendor := signs("javascript").get(package)) is not None:
        return Meaning("sdk", vendor.name, f"imports {package}")
    if (part := _FAMILY_OF_PACKAGES.match(name)) is not None:
        vendor = signs("parts").get(part.group(1).replace("-", "_"))
        return None if vendor is None else Meaning("sdk", vendor.name, f"imports {part.group(0)}")
    at = len(name)
    while at > 0:  # the longest known beginning that ends at a separator
        head = name[:at]
        if (vendor := signs("packages").get(head)) is not None:
            return Meaning("sdk", vendor.name, f"imports {head}")
        at = max(head.rfind(sign) for sign in (".", "/", "::", "\\"))
    return None


def _filled(text: str) -> str:
    """A text with placeholders of formats and templates as holes, and without a hole at its beginning."""
    text = _PLACEHOLDER.sub(HOLE, text)
    if text.startswith(HOLE):
        text = text.lstrip(HOLE).lstrip("/:")
    return text + HOLE if text.endswith("-") else text


def _whole(text: str, hosts: frozenset[Platform]) -> Meaning | None:
    bare, platform = retirements.plain_id(text)
    for row in (*retirements.meant(text), *(row for row in retirements.find(text) if row.platform in hosts)):
        if _counts(row.shared, row.plain_word, row.platform, platform, hosts):
            vendor, how = _vendor(text, bare, row.vendor), "a model id with a known shutdown date"
            return Meaning("model_id", vendor, how, text, row=row)
    undated = retirements.undated(text)
    if undated is not None and _counts(undated.shared, undated.plain_word, undated.platform, platform, hosts):
        how = f"a model id that its vendor calls {'retired' if undated.retired else 'deprecated'}"
        return Meaning("model_id", _vendor(text, bare, undated.vendor), how, text, undated=undated)
    for pattern, vendor in _IDS:
        if pattern.fullmatch(bare):
            named = retirements.active_on(text)
            how = "spelt like a model id" if named is None else "named by its vendor, without an end"
            return Meaning("model_id", vendor, how, text, is_named=named is not None)
    if platform is not None and bare == "*":
        return Meaning("endpoint", platform, f"routes every model of {platform}")
    return None


def _counts(
    shared: bool, plain_word: bool, at: Platform, shown_platform: Platform | None, hosts: frozenset[Platform]
) -> bool:
    """Does a name that is listed on platform `at` mean that model here?"""
    if shown_platform is not None:
        return shown_platform == at
    return not (plain_word or (shared and at not in hosts))


def _partial(text: str) -> Meaning | None:
    name, _ = retirements.plain_id(text)
    if _FAMILY.match(name.lower()) is None or not completions(text):
        return None
    vendor = next((vendor for pattern, vendor in _IDS if pattern.match(name.replace(HOLE, "0"))), "several")
    return Meaning("model_id", vendor, "a model id that is completed at run time", shown(text), text)


class PossibleName(NamedTuple):
    """A name that a partial one can become: with its row, or with what is known without a day, or neither."""

    name: str
    row: Retirement | None
    undated: UndatedRetirement | None


@lru_cache(maxsize=1_000)
def completions(text: str) -> tuple[PossibleName, ...]:
    """All that a name with holes can become, on the platform that shows in it, else with its maker."""
    name, platform = retirements.plain_id(text)
    found = []
    for one in retirements.completions(name):
        rows = [
            row
            for row in retirements.meant(one, platform)
            if _counts(row.shared, row.plain_word, row.platform, platform, frozenset())
        ]
        undated = retirements.undated(one, platform)
        named = retirements.active_on(one)
        if rows or undated is not None or (named is not None and platform in (None, named[0])):
            found.append(PossibleName(one, rows[0] if rows else None, undated))
    return tuple(found)


def _vendor(text: str, bare: str, listed: str) -> str:
    return next(
        (vendor for pattern, vendor in _IDS if pattern.fullmatch(text) or pattern.fullmatch(bare)), listed
    )
