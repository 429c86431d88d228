"""The configuration of NVIDIA's data flywheel blueprint, `config/config.yaml`.

Source of the shape: NVIDIA-AI-Blueprints/data-flywheel, `config/config.yaml` (read 2026-11-29; deprecated since April
2026, as its README says).
"""

from __future__ import annotations

from typing import Any

from freehold.catalog.models import find
from freehold.workflows.journey.converting.addresses import VendorAddress, clean_url
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "NVIDIA data flywheel"
_METHODS = {"lora": "lora", "all_weights": "full", "lora_merged": "lora"}


def recognises(document: Any) -> bool:
    """Whether this is such a file."""
    if not isinstance(document, dict):
        return False
    nims = document.get("nims")
    return isinstance(nims, list) and any(isinstance(one, dict) and "model_name" in one for one in nims)


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """Candidates, training, splits and the judge. Returns what was not read."""
    root = Source(document)
    tuning = root.part("training_config")
    method = _METHODS.get((tuning.text("finetuning_type") if tuning is not None else None) or "lora", "lora")
    shown = root.part("icl_config")
    most = shown.whole("max_examples") if shown is not None else None
    for nim in root.parts("nims"):
        _candidates(nim, method, most, parts)
    _training(tuning, root.part("lora_config"), parts)
    split = root.part("data_split_config")
    if split is not None:
        _split(split, parts)
    judge = root.part("llm_judge_config")
    if judge is not None:
        _judge(judge, parts)
    if incumbent is not None:
        parts.assume(
            f"{incumbent} is asked at OpenAI: write [incumbent] preset or base_url where it is elsewhere"
        )
        env = parts.key(None, "OPENAI_API_KEY", "--incumbent")
        parts.set_incumbent(
            ConvertedModel(VendorAddress(preset="openai", api_key_env=env), incumbent), "--incumbent"
        )
    else:
        parts.assume(
            "the flywheel learns the incumbent from its log: write [incumbent], or say --incumbent MODEL"
        )
    for key, why in (
        (
            "nmp_config",
            "freehold trains and serves on this machine or on [cluster]; NeMo's services are not asked",
        ),
        ("logging_config", "freehold settings"),
    ):
        if root.take(key) is not None:
            parts.lacks(key, why)
    parts.lacks("the log in Elasticsearch", "freehold import reads it as JSON lines of request and response")
    return root.unread()


def _candidates(nim: Source, method: str, most: int | None, parts: ConfigParts) -> None:
    name = nim.text("model_name")
    for key in ("gpus", "pvc_size", "tag", "registry_base", "context_length"):
        nim.take(key)
    trains = nim.take("customization_enabled") is True
    customizer = nim.take("customizer_configs")
    if customizer is not None:
        parts.lacks(nim.at("customizer_configs"), "[train] says how freehold trains")
    if name is None:
        return
    known = find(name) or find(name.rpartition("/")[2])  # meta/… is meta-llama/… on the hub
    if known is None:
        parts.lacks(nim.path, "the catalog does not know this model: freehold assess names models")
        return
    parts.candidate(known.id, method="as_is", source=nim.path)
    if most:
        parts.candidate(known.id, method="examples", source="icl_config", k=min(most, 64))
    if trains:
        parts.candidate(known.id, method=method, source=nim.path)


def _training(tuning: Source | None, lora: Source | None, parts: ConfigParts) -> None:
    if tuning is not None:
        kind = tuning.text("training_type")
        if kind not in (None, "sft"):
            parts.lacks(tuning.at("training_type"), "[train] method says how freehold trains")
        for key in ("epochs", "batch_size", "learning_rate"):
            parts.training(tuning, key, key)
    if lora is None:
        return
    rank = lora.whole("adapter_dim")
    if rank:
        parts.train["r"] = rank
        parts.note(lora.at("adapter_dim"), "[train] r")
    dropout = lora.number("adapter_dropout")
    if dropout is not None and 0 <= dropout < 1:
        parts.train["lora_dropout"] = dropout
        parts.note(lora.at("adapter_dropout"), "[train] lora_dropout")


def _split(split: Source, parts: ConfigParts) -> None:
    size = split.whole("eval_size")
    if size:
        parts.data["held_out_limit"] = size
        parts.note(split.at("eval_size"), "[data] held_out_limit")
        parts.assume(f"{size:,} held-out samples are few: freehold power says what they can show")
    ratio = split.number("val_ratio")
    if ratio is not None and 0 <= ratio < 1:
        parts.data["validation"] = ratio
        parts.note(split.at("val_ratio"), "[data] validation")
    if (seed := split.whole("random_seed")) is not None:
        parts.data["seed"] = seed
    split.take("random_seed")
    limit = split.whole("limit")
    if limit:
        parts.data["limit"] = limit
    if split.take("min_total_records") is not None:
        parts.lacks(split.at("min_total_records"), "freehold power says how many samples a verdict needs")


def _judge(judge: Source, parts: ConfigParts) -> None:
    kind = judge.text("type", "deployment_type")
    url = clean_url(judge.text("url"))
    model = judge.text("model_id", "model_name")
    if kind != "remote" or url is None or model is None:
        parts.lacks(
            "llm_judge_config",
            "serve the judge, and write its base_url and model into [task] options",
        )
        return
    env = judge.text("api_key_env")
    named = parts.key(f"${env}" if env else judge.take("api_key"), "NVIDIA_API_KEY", judge.at("api_key_env"))
    parts.judge(ConvertedModel(VendorAddress(base_url=url, api_key_env=named), model), "llm_judge_config")
