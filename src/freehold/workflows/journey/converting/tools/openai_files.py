"""What OpenAI's API says of fine-tuning jobs and evals, as saved from it or as sent to it.

Source of the shapes: the types of OpenAI's own client (package openai 3.57, `types/fine_tuning/fine_tuning_job.py`,
`types/eval_create_response.py`, `types/graders`), read 2026-11-29. The Evals platform is read-only since 2026-10-31 and
shuts down on 2026-11-30 (OpenAI's evals guide, by way of w3cschool.cn's copy of 2026-11-10).
"""

from __future__ import annotations

import re
from typing import Any

from freehold.workflows.journey.converting.addresses import address
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "OpenAI fine-tuning or evals"
_METHODS = {"supervised": "lora"}
_OPERATIONS = {"eq": "exact", "ilike": "contains", "like": "contains"}


def recognises(document: Any) -> bool:
    """Whether this is a job, an eval, or a list of them."""
    return bool(_jobs(document)) or _is_eval(document)


def _jobs(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict) and document.get("object") == "list":
        document = document.get("data")
    listed = document if isinstance(document, list) else [document]
    jobs = [one for one in listed if isinstance(one, dict) and _is_job(one)]
    return jobs if len(jobs) == len(listed) else []


def _is_job(value: dict[str, Any]) -> bool:
    if value.get("object") == "fine_tuning.job":
        return isinstance(value.get("model"), str)
    return isinstance(value.get("training_file"), str) and isinstance(value.get("model"), str)


def _is_eval(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("testing_criteria"), list)


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """The incumbent, training, the scorer and the data's columns. Returns what was not read."""
    if _is_eval(document):
        return _eval(Source(document), parts, incumbent)
    jobs = _jobs(document)
    done = [one for one in jobs if isinstance(one.get("fine_tuned_model"), str)]
    name = parts.one_of(map(_model_of, jobs), incumbent)
    wanted = [one for one in jobs if _model_of(one) == name]
    latest = max(wanted or done or jobs, key=_created)
    if len(done) > 1 and not wanted:
        parts.assume(
            f"{latest['fine_tuned_model']} is the model to leave, as the newest; --incumbent names another"
        )
    return _job(Source(latest, "job" if len(jobs) > 1 else ""), parts)


def _model_of(job: dict[str, Any]) -> str:
    tuned = job.get("fine_tuned_model")
    return tuned if isinstance(tuned, str) else str(job["model"])


def _created(job: dict[str, Any]) -> float:
    at = job.get("created_at")
    return float(at) if isinstance(at, int | float) and not isinstance(at, bool) else 0.0


def _job(job: Source, parts: ConfigParts) -> list[str]:
    base = job.text("model")
    model = job.text("fine_tuned_model") or base
    _pay(model, job.at("fine_tuned_model"), parts)
    method = job.part("method")
    kind = (method.text("type") if method is not None else None) or "supervised"
    if kind in _METHODS:
        parts.train["method"] = _METHODS[kind]
        parts.note(job.at("method"), "[train] method")
    else:
        parts.lacks(job.at("method"), f"freehold does not train by {kind}; [train] method says what it can")
    inner = method.part(kind) if method is not None else None
    _hyperparameters((inner.part("hyperparameters") if inner is not None else None), parts)
    _hyperparameters(job.part("hyperparameters"), parts)
    if (seed := job.whole("seed")) is not None:
        parts.train["seed"] = seed
    for key in ("training_file", "validation_file", "result_files"):
        if job.take(key) is not None:
            parts.lacks(job.at(key), "a file in OpenAI's storage: freehold rescue fetches it")
    parts.commands.append(f"freehold rescue {model} --list   # fetches the job's files and begins the move")
    for key in ("object", "id", "created_at", "finished_at", "status", "organization_id", "trained_tokens", "error",
                "estimated_finish", "user_provided_suffix", "suffix", "metadata", "integrations"):  # fmt: skip
        job.take(key)
    return job.unread()


def _pay(model: str | None, source: str, parts: ConfigParts) -> None:
    place = address("openai")
    if model is not None and place is not None:
        env = parts.key(None, "OPENAI_API_KEY", source)
        parts.set_incumbent(ConvertedModel(place._replace(api_key_env=env), model), source)


def _hyperparameters(source: Source | None, parts: ConfigParts) -> None:
    if source is None:
        return
    for key, name in (("n_epochs", "epochs"), ("batch_size", "batch_size")):
        if source.peek(key) == "auto":  # as freehold chooses, then
            source.take(key)
        parts.training(source, key, name)
    if source.take("learning_rate_multiplier") not in (None, "auto"):
        parts.lacks(source.at("learning_rate_multiplier"), "it multiplies a rate that is not published")


def _eval(root: Source, parts: ConfigParts, incumbent: str | None) -> list[str]:
    _pay(incumbent, "--incumbent", parts)
    if incumbent is None:
        parts.assume("an eval names no model to leave: write [incumbent], or say --incumbent MODEL")
    for grader in root.parts("testing_criteria"):
        kind = grader.text("type")
        grader.take("name")
        if "scorer" in parts.task:
            parts.lacks(grader.path, "one scorer decides; freehold settings --keys task")
        elif kind == "string_check" and (operation := grader.text("operation")) in _OPERATIONS:
            parts.task["scorer"] = _OPERATIONS[operation]
            if operation == "like":
                parts.task["options"] = {"case_sensitive": True}
            parts.note(grader.path, "[task] scorer")
            _columns(grader.text("reference"), parts, grader.at("reference"))
            grader.take("input")
        elif kind in ("score_model", "label_model") and (model := grader.text("model")) is not None:
            _judge(model, grader, parts)
        else:
            parts.lacks(
                grader.path, "freehold settings --keys task names the scorers; code is a function of your own"
            )
    config = root.part("data_source_config")
    if config is not None:
        config.take("type")
        config.take("item_schema")
        config.take("schema")
        config.take("include_sample_schema")
        parts.lacks(
            "data_source_config",
            "the items are in OpenAI's storage: export them, and name the file in [data]",
        )
    for key in ("object", "id", "created_at", "name", "metadata", "share_with_openai"):
        root.take(key)
    return root.unread()


def _judge(model: str, grader: Source, parts: ConfigParts) -> None:
    place = address("openai")
    assert place is not None
    parts.judge(
        ConvertedModel(place._replace(api_key_env=parts.key(None, "OPENAI_API_KEY", grader.path)), model),
        grader.path,
    )
    grader.take("input")
    grader.take("range")
    if grader.take("pass_threshold", "labels", "passing_labels") is not None:
        parts.lacks(grader.path, "thresholds and labels of a judge: [task] margin decides what is accepted")


def _columns(reference: str | None, parts: ConfigParts, source: str) -> None:
    found = re.search(r"\{\{\s*item\.(\w+)\s*\}\}", reference or "")
    if found:
        parts.data["label"] = found[1]
        parts.note(source, "[data] label")
