"""Fields of use as licences name them, read from the words of a profile."""

from __future__ import annotations

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
