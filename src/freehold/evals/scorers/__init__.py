"""Scorers: one a file, all in one table, imported late.

`SCORERS` is the only place where a name is tied to a file; `docs/reference/scorers.md` is checked against it.
"""

from __future__ import annotations

import importlib
from typing import Any

from freehold.errors import ConfigError, did_you_mean
from freehold.evals.scorer import Scorer
from freehold.types.evaluation import Task

SCORERS: dict[str, str] = {
    "label": "freehold.evals.scorers.label:LabelScorer",
    "exact": "freehold.evals.scorers.exact:ExactScorer",
    "numeric": "freehold.evals.scorers.numeric:NumericScorer",
    "regex": "freehold.evals.scorers.regex:RegexScorer",
    "contains": "freehold.evals.scorers.contains:ContainsScorer",
    "json_fields": "freehold.evals.scorers.json_fields:JsonFieldsScorer",
    "tool_call": "freehold.evals.scorers.tool_call:ToolCallScorer",
    "turn": "freehold.evals.scorers.turn:TurnScorer",
    "code": "freehold.evals.scorers.code:CodeScorer",
    "semantic": "freehold.evals.scorers.semantic:SemanticScorer",
    "judge": "freehold.evals.scorers.judge:JudgeScorer",
}


def scorer_class(name: str) -> type[Scorer]:
    """The class of the scorer of that name. Raises `ConfigError` for an unknown one."""
    target = SCORERS.get(name)
    if target is None:
        raise unknown(name)
    module, _, attribute = target.partition(":")
    found: type[Scorer] = getattr(importlib.import_module(module), attribute)
    return found


def unknown(name: str) -> ConfigError:
    """The error for a name that no scorer has."""
    return ConfigError(
        f"unknown scorer {name}", hint=did_you_mean(name, SCORERS, f"scorers: {', '.join(SCORERS)}")
    )


def make(name: str, options: dict[str, Any] | None = None) -> Scorer:
    """The scorer of that name with its options.

    Raises `ConfigError` for an unknown name, an unknown option or a value of the wrong type, and
    `MissingExtraError` where the scorer needs an extra that is not installed.
    """
    return scorer_class(name)(options or {})


def for_task(task: Task) -> Scorer:
    """The scorer a task names, with the task's options."""
    return make(task.scorer, task.options)
