"""OpenPipe: exports of request logs and of datasets, and what its API says of a model.

Source of the shapes: docs.openpipe.ai/features/exporting-data, /features/datasets/exporting-data and
/api-reference/get-getModel (read 2026-11-29). A configuration file of its own OpenPipe does not have.
"""

from __future__ import annotations

from typing import Any

from freehold.catalog.models import find
from freehold.workflows.journey.converting.addresses import VendorAddress
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "OpenPipe"
_API = "https://api.openpipe.ai/api/v1"


def recognises(document: Any) -> bool:
    """Whether this is one of them."""
    return bool(_models(document)) or _is_log(document) or _is_dataset(document)


def _models(document: Any) -> list[dict[str, Any]]:
    if (
        isinstance(document, dict)
        and document.get("object") == "list"
        and isinstance(document.get("data"), list)
    ):
        document = document["data"]
    listed = document if isinstance(document, list) else [document]
    found = [one for one in listed if isinstance(one, dict) and isinstance(one.get("openpipe"), dict)]
    return found if len(found) == len(listed) else []


def _names(model: dict[str, Any]) -> list[str]:
    """What a model may be called by: its name as clients send it, its name, its id."""
    names = [name for name in (model.get("name"), model.get("id")) if isinstance(name, str)]
    return [*(f"openpipe:{name}" for name in names), *names]


def _records(document: Any) -> list[dict[str, Any]]:
    listed = document if isinstance(document, list) else [document]
    return [one for one in listed if isinstance(one, dict)]


def _is_log(document: Any) -> bool:
    return any(
        isinstance(one.get("input"), dict)
        and isinstance(one["input"].get("messages"), list)
        and "output" in one
        for one in _records(document)[:20]
    )


def _is_dataset(document: Any) -> bool:
    return any(isinstance(one.get("messages"), list) and "split" in one for one in _records(document)[:20])


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """The incumbent, the candidate and the data. Returns what was not read."""
    if models := _models(document):
        wanted = parts.one_of((name for one in models for name in _names(one)), incumbent)
        chosen = next((one for one in models if wanted in _names(one)), models[0])
        return _model(Source(chosen), parts)
    if _is_dataset(document):
        parts.data |= {"files": [parts.file], "format": "openai", "answers": "gold"}
        parts.note("the dataset", "[data] files")
        parts.assume("what a dataset's last message says was wanted, so it is taken for right")
        if incumbent is not None:
            _pay(incumbent, parts)
        else:
            parts.assume("a dataset names no model: write [incumbent], or say --incumbent MODEL")
        return []
    named = [one["input"].get("model") for one in _records(document) if isinstance(one.get("input"), dict)]
    names = [one for one in named if isinstance(one, str)]
    model = incumbent or (max(sorted(set(names)), key=names.count) if names else None)
    if model is not None:
        _pay(model, parts)
    parts.lacks(
        "the request logs",
        "freehold import reads them once input and output are called request and response: "
        "jq -c '{request: .input, response: .output, metadata: .tags}' FILE > traffic.jsonl",
    )
    parts.commands.append(
        "jq -c '{request: .input, response: .output, metadata: .tags}' FILE > traffic.jsonl"
    )
    parts.data["files"] = ["traffic.jsonl"]
    return []


def _pay(model: str, parts: ConfigParts) -> None:
    env = parts.key(None, "OPENPIPE_API_KEY", "model")
    parts.set_incumbent(ConvertedModel(VendorAddress(base_url=_API, api_key_env=env), model), "model")


def _model(source: Source, parts: ConfigParts) -> list[str]:
    name = source.text("name", "id") or "model"
    _pay(name if name.startswith("openpipe:") else f"openpipe:{name}", parts)
    more = source.part("openpipe")
    base = more.text("baseModel") if more is not None else None
    if base is not None and find(base) is not None:
        parts.candidate(find_id(base), method="lora", source="openpipe.baseModel")
    elif base is not None:
        parts.lacks("openpipe.baseModel", "the catalog does not know it: freehold assess names models")
    settings = more.part("hyperparameters") if more is not None else None
    if settings is not None:
        parts.training(settings, "num_epochs", "epochs")
        parts.training(settings, "batch_size", "batch_size")
    for key in ("id", "name", "object", "description", "created", "updated"):
        source.take(key)
    parts.lacks("weights", "ask OpenPipe for the model's weights, or train again on the exported dataset")
    return source.unread()


def find_id(name: str) -> str:
    """The catalog's id of a model that it knows by another name."""
    known = find(name)
    assert known is not None
    return known.id
