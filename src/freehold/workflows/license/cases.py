"""Worked cases in and out: a file of questions becomes rulings in the file's own words.

Only `lineage` and `use` of a case are read; what a case expects is never looked at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.errors import InputError
from freehold.licensing.words import compatible
from freehold.types.license import BARRED, EdgeKind, Lineage, LineageEdge, Obligation, Ruling
from freehold.types.use import UseProfile
from freehold.workflows.license.rule import rule_for_model

ROLES: dict[str, EdgeKind] = {
    "base": "base",
    "finetune": "fine_tune",
    "adapter": "adapter",
    "merge_parent": "merge",
    "quantization": "quantize",
    "outputs_of": "distilled_from",
    "dataset": "trained_on",
    "surgery": "surgery",
}
RENAMED = {
    "licensee_region": "seat",
    "parent_region": "parent_seat",
    "served_regions": "regions",
    "claimed_licence": "claimed_license",
    "mau_all_products_month_before_release": "mau_group_month_before_release",
    "mau_llama_feature": "mau_feature",
}
_VERDICTS = {
    "allowed": "allowed",
    "allowed_with_obligations": "allowed-with-obligations",
    "not_allowed": "not-allowed",
    "needs_separate_license": "needs-separate-licence",
    "unclear": "unclear",
}
_USE_FIELDS = frozenset(UseProfile.__struct_fields__)
_NODE_FIELDS = frozenset({"role", "model", "claimed_licence"})
_TEXTS = frozenset(
    field.name for field in msgspec.structs.fields(UseProfile) if "str" in str(field.type)
) - frozenset({"mode", "then", "regions", "accounts"})


class CaseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer: the verdict and keys are the case file's vocabulary."""

    id: str
    verdict: str
    obligations: list[str]
    obligation_values: dict[str, str]
    violations: list[str]
    licences: list[str]
    evidence: list[dict[str, str]]
    assumptions: list[str]


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a file. Raises `InputError` with the path when it is missing or not in this form."""
    try:
        with files.reading(path):
            data = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise InputError(f"not valid JSON: {error}", path=str(path)) from None
    cases = data.get("cases") if isinstance(data, dict) else data
    if not isinstance(cases, list) or not all(isinstance(case, dict) and "id" in case for case in cases):
        raise InputError(
            "no list of cases with an id each", path=str(path), hint='expected {"cases": [{"id": …, …}]}'
        )
    return cases


def answer_case(case: dict[str, Any], *, path: str = "cases") -> CaseAnswer:
    """Rule on one case. Raises `InputError` naming the case when its lineage or use does not fit."""
    name = str(case["id"])
    facts, nodes = case.get("use") or {}, case.get("lineage") or []
    try:
        use = use_of(facts)
        lineage = lineage_of(nodes, use)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise InputError(f"case {name}: {error}", path=path) from None
    answer = answer_of(name, rule_for_model(lineage.model, use, lineage=lineage))
    return msgspec.structs.replace(answer, assumptions=[*answer.assumptions, *unread(facts, nodes)])


def use_of(fields: dict[str, Any]) -> UseProfile:
    """A use in the words of a case. Facts without a field are left to `unread`; accounts are collected."""
    known: dict[str, Any] = {}
    accounts = []
    for key, value in fields.items():
        field = _field(key)
        if _is_account(key):
            if value:
                accounts.append(key.removeprefix("has_").removesuffix("_account"))
            known["accounts"] = tuple(accounts)
        elif field in _USE_FIELDS and value is not None and not (value is False and field in _TEXTS):
            known[field] = _plain(field, value)
    return msgspec.convert(known, UseProfile, strict=False)


def unread(use: dict[str, Any], nodes: list[dict[str, Any]]) -> list[str]:
    """Each stated fact of a use or of a lineage's nodes that no field stands for: none is dropped in silence."""
    facts = [
        *((key, value) for key, value in use.items() if not (_is_account(key) or _field(key) in _USE_FIELDS)),
        *((key, value) for node in nodes for key, value in node.items() if key not in _NODE_FIELDS),
    ]
    return [
        f"{key} = {msgspec.json.encode(value).decode()} is not read: no rule asks for a fact of this name"
        for key, value in facts
        if value is not None
    ]


def _field(key: str) -> str:
    return RENAMED.get(key, key)


def _is_account(key: str) -> bool:
    return key.startswith("has_") and key.endswith("_account")


def _plain(field: str, value: Any) -> Any:
    """A value in the shape its field has: one word where a list is meant, a list or a claim where words are."""
    if field == "regions":
        return [value] if isinstance(value, str) else value
    if field in _TEXTS and not isinstance(value, str):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
    return value


def unread_case(case: dict[str, Any], why: str) -> CaseAnswer:
    """The answer to a case that could not be read: unclear, and why."""
    return CaseAnswer(
        id=str(case["id"]),
        verdict="unclear",
        obligations=[],
        obligation_values={},
        violations=[],
        licences=[],
        evidence=[],
        assumptions=[f"not read: {why}"],
    )


def lineage_of(nodes: list[dict[str, Any]], use: UseProfile) -> Lineage:
    """A lineage in the words of a case, in its order."""
    edges = tuple(
        LineageEdge(
            kind=ROLES[node["role"]], model=node["model"], claimed_license=node.get("claimed_licence")
        )
        for node in nodes
    )
    own = [edge.model for edge in edges if edge.kind in ("fine_tune", "adapter")]
    model = use.derivative_name or (own[-1] if own else (edges[0].model if edges else "unnamed"))
    return Lineage(model=model, edges=edges)


def answer_of(name: str, ruling: Ruling) -> CaseAnswer:
    """A ruling in the words of a case. Duties of a use that is blocked for good are left out."""
    blocked = ruling.outcome in BARRED and not ruling.details["mendable"]
    due: list[Obligation] = (
        [] if blocked else [d for d in ruling.obligations if not (d.recommended or d.passive)]
    )
    values: dict[str, str] = {}
    for duty in due:
        if duty.value is None:
            continue
        old = values.get(duty.key)
        same_beginning = duty.key == "name_prefix" and old is not None and compatible(duty.value, old)
        if old is None or (same_beginning and len(duty.value) > len(old)):
            values[duty.key] = duty.value
        elif duty.value not in old and not same_beginning:
            values[duty.key] = f"{old}; {duty.value}"
    return CaseAnswer(
        id=name,
        verdict=_VERDICTS[ruling.outcome],
        obligations=list(dict.fromkeys(duty.key for duty in due)),
        obligation_values=values,
        violations=list(ruling.violations),
        licences=list(ruling.licenses),
        evidence=[
            dict(pair)
            for pair in dict.fromkeys(
                (("source", reason.source), ("section", section))
                for reason in ruling.reasons
                for section in _with_parent(reason.section)
            )
        ],
        assumptions=list(ruling.assumptions),
    )


_LAST_PART = re.compile(r"(?<=[\d)])(?:\.?[a-z]|\.?\(?[ivx]+\)|\([a-z]\)|\.\d+)$")


def _with_parent(section: str) -> tuple[str, ...]:
    """A section and the one it is part of: ``5.2b`` is in ``5.2``."""
    parent = _LAST_PART.sub("", section)
    return (
        tuple(part for part in (section, parent) if part) if parent != section else (section,) * bool(section)
    )
