"""Words of licences and of use profiles: names that must begin with one, regions, fields of use, changes, kinds of
business, duties.
"""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[\s_\-]+")


def begins_with(name: str, prefix: str) -> bool:
    """Whether a published name begins with the word a licence demands; case and separators are ignored.

    An owner before a slash is not part of the name. ``K-EXAONE-7B`` does not begin with EXAONE.
    """
    return _plain(name.rpartition("/")[2]).startswith(_plain(prefix))


def compatible(first: str, second: str) -> bool:
    """Whether one name can begin with both words (``Llama 3`` satisfies ``Llama``)."""
    return begins_with(first, second) or begins_with(second, first)


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", text).lower()


EU = frozenset(
    code
    for line in (
        "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE",
        "IT LV LT LU MT NL PL PT RO SK SI ES SE",
    )
    for code in line.split()
)
_PLACES = {
    "germany": "DE", "france": "FR", "ireland": "IE", "italy": "IT", "spain": "ES", "netherlands": "NL",
    "austria": "AT", "belgium": "BE", "poland": "PL", "sweden": "SE", "denmark": "DK", "finland": "FI",
    "portugal": "PT", "greece": "GR", "czechia": "CZ", "romania": "RO", "hungary": "HU", "luxembourg": "LU",
    "el": "GR", "uk": "GB", "united kingdom": "GB", "great britain": "GB", "england": "GB", "scotland": "GB",
    "korea": "KR", "south korea": "KR", "republic of korea": "KR", "rok": "KR", "european union": "EU",
    "united states": "US", "usa": "US", "japan": "JP", "china": "CN", "switzerland": "CH", "eu-27": "EU",
}  # fmt: skip
_WIDE = {
    "global": frozenset({"EU", "GB", "KR"}),
    "worldwide": frozenset({"EU", "GB", "KR"}),
    "world": frozenset({"EU", "GB", "KR"}),
    "everywhere": frozenset({"EU", "GB", "KR"}),
    "europe": frozenset({"EU", "GB"}),
    "eea": frozenset({"EU"}),
    "emea": frozenset({"EU", "GB"}),
    "apac": frozenset({"KR"}),
    "asia": frozenset({"KR"}),
}


def inside(place: str, regions: tuple[str, ...]) -> bool:
    """Whether a place (ISO code, common name, or a wide word such as ``global``) touches the regions.

    A subdivision counts as its country (``DE-BY``). A wide word touches everything it may contain.
    """
    word = place.strip().lower()
    wanted = set(regions)
    if word in _WIDE:
        return bool(_WIDE[word] & wanted)
    code = _PLACES.get(word, place.strip().upper())
    if code not in wanted and "-" in code:
        code = code.partition("-")[0]
        code = {"UK": "GB"}.get(code, code)
    return code in wanted or (code in EU and "EU" in wanted) or (code == "EU" and bool(EU & wanted))


_TAGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("military", ("military", "warfare", "defence", "defense", "armed forces", "army", "battlefield")),
    ("weapons", ("weapon", "munition", "explosive")),
    ("nuclear", ("nuclear",)),
    ("espionage", ("espionage", "spying")),
    (
        "critical_infrastructure",
        ("critical infrastructure", "power grid", "power plant", "water supply", "energy grid"),
    ),
    ("transport", ("transport", "heavy machinery", "vehicle", "aviation", "railway", "driving")),
    ("automated_decision", ("automated decision", "automated deci", "autonomous decision")),
    ("medical_advice", ("medical", "health", "clinical", "diagnos", "medicine", "patient")),
    ("legal_advice", ("legal advice", "legal practice", "lawyer")),
    ("financial_advice", ("financial advice", "investment advice")),
    (
        "justice",
        ("law enforcement", "justice", "migration", "asylum", "immigration", "police", "border", "court"),
    ),
    (
        "undisclosed_machine_content",
        ("undisclosed", "without disclos", "pose as human", "posing as human", "as human", "hide that",
         "hiding", "impersonat", "passed off"),
    ),
    ("sexual_content", ("sexual", "porn", "adult content", "nsfw", "erotic")),
)  # fmt: skip


def domain_tags(domain: str | None) -> frozenset[str]:
    """The barred fields a stated domain touches; a domain that no licence bars has none."""
    if domain is None:
        return frozenset()
    text = domain.lower().replace("_", " ").replace("-", " ")
    return frozenset(tag for tag, words in _TAGS if any(word in text for word in words))


_CHANGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "safeguards",
        ("guardrail", "safeguard", "safety", "abliterat", "uncensor", "refusal", "jailbreak", "moderation"),
    ),
    ("protection", ("protection measure", "drm", "encryption", "watermark")),
)
_REMOVES = (
    "remov", "disabl", "bypass", "circumvent", "strip", "abliterat", "uncensor", "weaken", "reduc", "without",
)  # fmt: skip


def change_tags(modification: str | None) -> frozenset[str]:
    """Barred kinds of change a description names: safeguards removed, technical protection broken."""
    if modification is None:
        return frozenset()
    text = modification.lower().replace("_", " ")
    if not any(word in text for word in _REMOVES):
        return frozenset()
    return frozenset(tag for tag, words in _CHANGES if any(word in text for word in words))


_BUSINESS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "model_as_a_service",
        ("model as a service", "maas", "inference", "fine tuning", "finetuning", "model api", "api for",
         "endpoint", "llm api", "gpu cloud", "api provider"),
    ),
    ("coding_assistant", ("coding", "code assist", "code complet", "office", "productivity", "work assist")),
    ("cloud_provider", ("cloud",)),
    ("software_provider", ("software", "saas")),
)  # fmt: skip


def business_tags(kind: str) -> frozenset[str]:
    """The kinds of business a product or business type written in free words amounts to.

    Relaying requests to models that others host is not one of them.
    """
    text = kind.lower().replace("_", " ").replace("-", " ")
    if "router" in text or "relay" in text:
        return frozenset({"router"})
    return frozenset(tag for tag, words in _BUSINESS if any(word in text for word in words))


KEY_TITLES: dict[str, str] = {
    "license_copy": "Give recipients a copy of the licence",
    "notice_file": "Ship the Notice file",
    "display_attribution": "Display the phrase prominently",
    "ui_display_model_name": "Display the model name in the user interface",
    "name_prefix": "Begin the model's name with the word",
    "state_changes": "State that and what was changed",
    "pass_through_use_restrictions": "Pass the use restrictions on as an enforceable provision",
    "aup_compliance": "Stay within the acceptable-use policy",
    "retain_notices": "Keep the notices",
    "attribution": "Credit the creator",
    "share_alike": "License adaptations alike",
    "register_before_commercial": "Register before commercial use",
    "public_statement": "Use the sentence in public statements",
    "explanatory_documentation": "Ship documentation of the changes",
    "security_review": "Pass the licensor's security review first",
}
