"""Answers held to a closed set of labels: the fields of a request that make an engine write one of them and nothing
else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from freehold.types.endpoint import ServedModel, ServePlan


def held(model: ServedModel, plan: ServePlan) -> ServedModel:
    """A served model as it is asked: the plan's candidate with the plan's preparation, and with its labels where the
    engine can hold answers to a set. Other names of the plan stay as they are."""
    if model.name != plan.served_name:
        return model
    model = msgspec.structs.replace(model, preparation=plan.preparation)
    fields = label_fields(plan.labels, plan.engine_kind.holds_choices)
    if not fields:
        return model
    return msgspec.structs.replace(model, extra_body={**model.extra_body, **fields}, labels=plan.labels)


def label_fields(labels: Sequence[str], how: str | None) -> dict[str, Any]:
    """The fields that hold an answer to `labels`, by how an engine is told; empty where it cannot be."""
    if not labels or how is None:
        return {}
    if how == "grammar":
        return {"grammar": grammar(labels)}
    return {how: {"choice": list(labels)}}


def grammar(labels: Sequence[str]) -> str:
    """One of the labels and then the end, in llama.cpp's GBNF. Its texts escape as JSON's do."""
    return "root ::= " + " | ".join(
        json.dumps(one, ensure_ascii=False).replace("\x7f", "\\x7F") for one in labels
    )
