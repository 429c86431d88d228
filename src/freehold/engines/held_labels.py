"""Answers held to a closed set of labels: the fields of a request that make an engine write one of them and nothing
else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from freehold.types.endpoint import ServedModel, ServePlan


def held(model: ServedModel, plan: ServePlan) -> ServedModel:
    """A served model as it answers: with the plan's labels, where it is the plan's candidate and the engine can hold
    answers to a set. Every request made by `ServedModel.apply`, by the gateway too, asks so."""
    fields = label_fields(plan.labels, plan.engine_kind.holds_choices)
    if not fields or model.name != plan.served_name:
        return model
    return ServedModel(
        name=model.name,
        upstream_name=model.upstream_name,
        extra_body={**model.extra_body, **fields},
        first_messages=model.first_messages,
        adapter_id=model.adapter_id,
        labels=plan.labels,
    )


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
