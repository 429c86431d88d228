"""`[use]`: who uses the model and for what, and the words it may be written in.

Covered: places, kinds of business and product, fields of use, purposes, dates, counts, yes and no.
Not covered: names (`derivative_name`, `claimed_license`).
"""

from __future__ import annotations

import datetime
import re
import typing
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from freehold.errors import ConfigError, did_you_mean
from freehold.types.record import Record

Mode = Literal[
    "internal",
    "personal",
    "research",
    "hosted_service",
    "embedded_product",
    "distribute_weights",
    "train_other_model",
    "outputs_in_product",
    "relay",
    "end_user_of_product",
    "receive_integrated_end_user_product",
]


class UseProfile(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who uses the model and for what: the `[use]` table. None means unknown, which is a value of its own.

    Users are monthly active users, money is US dollars. Fields that end in `_month_before_release` are figures of the
    calendar month before the release of the model version in question: some licences freeze their threshold at that
    date. `mode` None is derived from `distributes_weights` and `serves_third_parties`; next to a mode they widen it.
    `then` says what becomes of a trained model. `regions` is where the service or the weights are offered, `seat` where
    the licensee is established (ISO country code, or EU), `parent_seat` where its parent is.
    """

    mode: Mode | None = None
    then: Mode | None = None
    commercial: bool | None = None
    nonprofit: bool | None = None
    purpose: str | None = None
    announcement: bool | None = None
    seat: str | None = None
    parent_seat: str | None = None
    regions: tuple[str, ...] = ()
    user_location: str | None = None
    monthly_active_users: int | None = None
    mau_product: int | None = None
    mau_licensee: int | None = None
    mau_affiliate: int | None = None
    mau_group_now: int | None = None
    mau_group_month_before_release: int | None = None
    mau_licensee_month_before_release: int | None = None
    mau_feature: int | None = None
    dau: int | None = None
    annual_revenue_usd: int | None = None
    group_revenue_usd: int | None = None
    affiliate_revenue_usd: int | None = None
    monthly_revenue_usd: int | None = None
    annual_recurring_revenue_usd: int | None = None
    employer_monthly_revenue_usd: int | None = None
    product_type: str | None = None
    business: str | None = None
    affiliate_runs_maas: bool | None = None
    competes_with_licensor: bool | None = None
    domain: str | None = None
    human_review: bool | None = None
    modification: str | None = None
    derivative_name: str | None = None
    claimed_license: str | None = None
    notices_kept: bool | None = None
    registered: bool | None = None
    litigation: str | None = None
    release: str | None = None
    obtained: str | None = None
    weights: str | None = None
    accounts: tuple[str, ...] | None = None
    distributes_weights: bool = False
    serves_third_parties: bool = False
    trains_models_on_outputs: bool = False


_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
PLACES = frozenset(_COUNTRIES.split()) | {"EU", "UK", "EL"}
"""ISO 3166-1 codes, EU, and the two codes that the European Union writes itself."""

PLACE_NAMES = frozenset(
    ["germany", "france", "ireland", "italy", "spain", "netherlands", "austria", "belgium", "poland", "sweden",
     "denmark", "finland", "portugal", "greece", "czechia", "romania", "hungary", "luxembourg", "united kingdom",
     "great britain", "england", "scotland", "korea", "south korea", "republic of korea", "european union",
     "united states", "usa", "japan", "china", "switzerland", "eea"]
)  # fmt: skip
WIDE_PLACES = ("worldwide", "global")
"""Everywhere, which touches every region a licence leaves out."""

DOMAINS = (
    "none", "other", "customer_support", "retail", "e_commerce", "education", "software_development", "marketing",
    "entertainment", "media", "travel", "logistics", "manufacturing", "agriculture", "energy", "telecommunications",
    "public_sector", "human_resources", "banking", "insurance", "legal_services", "research",
    "military", "warfare", "defence", "weapons", "nuclear", "espionage", "critical_infrastructure",
    "critical_infrastructure_operation", "transport", "heavy_machinery", "automated_decision",
    "automated_decision_credit", "automated_decision_legal_rights", "automated_decision_employment",
    "automated_decision_insurance", "automated_decision_housing", "automated_decision_welfare", "medical_advice",
    "healthcare", "legal_advice", "financial_advice", "law_enforcement", "justice", "migration",
    "undisclosed_machine_content", "impersonation", "sexual_content",
)  # fmt: skip
BUSINESSES = (
    "other", "internal_tool", "chatbot", "chat_assistant", "customer_support", "search", "shopping_assistant",
    "single_purpose_translation", "document_processing", "classification", "content_generation", "feature",
    "embedded_feature", "end_user_product", "retail", "manufacturing", "bank", "insurance", "consulting", "media",
    "public_sector", "healthcare", "education", "software", "software_provider", "software_service",
    "software_service_provider", "saas", "cloud", "cloud_provider", "gpu_cloud", "hosting", "shared_instances",
    "model_as_a_service", "maas", "model_api", "inference_api", "inference_provider", "hosted_inference",
    "fine_tuning_platform", "fine_tuning_service", "router", "relay", "coding_agent", "coding_assistant",
    "work_assistant", "ai_work_assistant", "office_assistant", "office_productivity", "productivity_assistant",
    "competitor", "not_competitor",
)  # fmt: skip
PURPOSES = (
    "production", "classifier", "classification", "embedding", "labels", "routing", "intent", "moderation",
    "retrieval", "extraction", "summarization", "summarisation", "translation", "support", "agent", "coding",
    "chat_assistant", "assistant", "general_assistant", "competing_assistant", "competing", "foundation_model",
    "chatbot", "imitate", "research", "academic", "evaluation", "testing", "benchmark", "proof_of_concept", "poc",
    "education", "teaching", "other",
)  # fmt: skip
MODIFICATIONS = (
    "none", "fine_tuned", "adapter", "quantized", "merged", "pruned", "distilled", "vision_removed", "guardrails",
    "safeguards", "safety", "refusals", "moderation", "uncensored", "abliterated", "jailbroken", "watermark", "drm",
    "encryption", "protection", "other",
)  # fmt: skip
SUITS = ("none", "no", "yes", "patent", "copyright", "trademark", "defensive", "counterclaim", "other")
SERVICES = (
    "openai", "anthropic", "google", "mistral", "cohere", "ai21", "deepseek", "moonshot", "xai", "alibaba", "qwen",
    "together", "fireworks",
)  # fmt: skip
CLOSED: dict[str, tuple[str, ...]] = {
    "domain": DOMAINS,
    "product_type": BUSINESSES,
    "business": BUSINESSES,
    "weights": ("full", "adapter_only", "on_device", "server_side", "hosted", "cloud"),
    "mode": typing.get_args(Mode),
    "then": typing.get_args(Mode),
    "accounts": SERVICES,
}
"""Fields whose value, or each value of a list, is one of these words."""

OPEN: dict[str, tuple[str, ...]] = {"purpose": PURPOSES, "modification": MODIFICATIONS, "litigation": SUITS}
"""Fields in free words, of which at least one is one of these."""

_PLACE_FIELDS = frozenset({"seat", "parent_seat", "regions", "user_location"})
_DATES = frozenset({"release", "obtained"})
_TYPES = {field.name: str(field.type) for field in msgspec.structs.fields(UseProfile)}


def check_use(table: Mapping[str, Any], where: str) -> None:
    """Check a `[use]` table as written. Unknown keys are left to the reader of the table.

    Raises `ConfigError` that names the key, the value, what it may be, and the nearest word.
    """
    for key, value in table.items():
        if key not in _TYPES or value is None:
            continue
        found = _problem(key, value)
        if found is not None:
            message, hint = found
            raise ConfigError(f"{where}: {key}: {message}", hint=hint)


def _problem(key: str, value: Any) -> tuple[str, str | None] | None:
    kind = _TYPES[key]
    if re.search(r"\bbool\b", kind):
        if isinstance(value, bool):
            return None
        return f"'{value}' is neither true nor false", "leave it out where it is not known"
    if re.search(r"\bint\b", kind):
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return None
        return f"'{value}' is not a whole number of 0 or more", "for example 120_000"
    if not _shaped(kind, value):
        return f"{value!r} is not {'a list of words' if 'tuple' in kind else 'a word'}", None
    for one in value if isinstance(value, (list, tuple)) else [value]:
        found = _word_problem(key, str(one))
        if found is not None:
            return found
    return None


def _shaped(kind: str, value: Any) -> bool:
    if "tuple" in kind:
        return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    return isinstance(value, str)


def _word_problem(key: str, text: str) -> tuple[str, str | None] | None:
    if key in _PLACE_FIELDS:
        return None if _is_place(text) else _no_place(text)
    if key in _DATES:
        try:
            datetime.date.fromisoformat(text)
        except ValueError:
            return f"'{text}' is not a date", "for example 2024-05-30"
        return None
    word = _plain(text)
    if key in CLOSED:
        parts = [word] if key in ("mode", "then") else [_plain(part) for part in text.split(",")]
        wrong = next((part for part in parts if part not in CLOSED[key]), None)
        if wrong is None:
            return None
        return f"'{wrong}' is none of: {', '.join(CLOSED[key])}", did_you_mean(
            wrong, CLOSED[key], "other"
        ) or None
    if key in OPEN and not any(f"_{known}_" in f"_{word}_" for known in OPEN[key]):
        return (
            f"'{text}' holds none of the words: {', '.join(OPEN[key])}",
            did_you_mean(word, OPEN[key], "other, where none fits"),
        )
    return None


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-]+", "_", text.strip().lower())


def _is_place(text: str) -> bool:
    word = " ".join(text.strip().lower().split())
    code = text.strip().upper()
    return (
        code in PLACES
        or word in PLACE_NAMES
        or word in WIDE_PLACES
        or bool(re.fullmatch(r"[A-Z]{2}-[A-Z0-9]{1,3}", code) and code[:2] in PLACES)
    )


def _no_place(text: str) -> tuple[str, str]:
    if text.strip().lower() in ("europe", "emea", "apac", "asia", "africa", "america", "world"):
        return (
            f"'{text}' is wider than what licences name",
            "EU (the Union), and countries by their code: GB, CH, KR …; or worldwide",
        )
    return (
        f"'{text}' is not a place: an ISO country code (DE, US, KR …), a part of one (DE-BY), EU, or worldwide",
        did_you_mean(text, [*PLACE_NAMES, *WIDE_PLACES], "the code of the country"),
    )
