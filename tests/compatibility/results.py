"""What the suite found: run an engine, keep what came out, make the page.

`results.json` beside this file has a cell for each engine and feature: ``{"state", "why"}``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import openai_features  # noqa: F401
import other_features  # noqa: F401
from subjects import CONTEXT_TOKENS, EMBEDDER, MODEL, SUBJECTS, behind_a_gateway
from suite import FEATURES, Clients, Feature

from freehold.gateway.proxy.translation import API_ROUTES, translation_for
from freehold.types.endpoint import Endpoint

FILE = Path(__file__).with_name("results.json")
Cell = dict[str, str]
Results = dict[str, dict[str, Any]]
REFUSALS = (openai.APIStatusError, anthropic.APIStatusError, ollama.ResponseError)


def run(name: str) -> dict[str, Cell]:
    """Ask one engine for everything. Raises `subjects.Missing`."""
    with behind_a_gateway(name) as (base_url, endpoints):
        ask = Clients(base_url, MODEL, EMBEDDER, CONTEXT_TOKENS)
        try:
            return {feature.key: cell(feature, ask, endpoints) for feature in FEATURES}
        finally:
            ask.close()


def cell(feature: Feature, ask: Clients, endpoints: tuple[Endpoint, ...]) -> Cell:
    """``holds`` (as the engine itself answers), ``translated`` (by the gateway), ``refused``, or ``no``."""
    try:
        feature.ask(ask)
    except REFUSALS as error:
        return {"state": "refused", "why": said(error)}
    except Exception as error:  # noqa: BLE001
        words = str(error).partition("\n")[0]
        return {
            "state": "no",
            "why": words if isinstance(error, AssertionError) and words else repr(error)[:160],
        }
    wanted = EMBEDDER if "embed" in feature.key else MODEL
    endpoint = next(one for one in endpoints if one.served(wanted))
    api_route = API_ROUTES.get(feature.path)
    if api_route is None or translation_for(api_route, endpoint) is None:
        return {"state": "holds"}
    return {"state": "translated"}


def said(error: Any) -> str:
    """A refusal's words, without what differs from run to run."""
    body = error.error if isinstance(error, ollama.ResponseError) else error.body
    for _ in range(3):
        if isinstance(body, dict):
            body = body.get("error") if isinstance(body.get("error"), dict) else body.get("message", body)
    return re.sub(r"\s+", " ", str(body)).strip()[:200]


def load() -> Results:
    found: Results = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def save(results: Results) -> None:
    ordered = {name: results[name] for name in SUBJECTS if name in results}
    FILE.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def page(results: Results) -> str:
    """The reference page."""
    names = [name for name in SUBJECTS if name in results]
    notes: list[str] = []
    lines = ["# Compatibility\n", _HEAD]
    for name in names:
        made = results[name]
        lines.append(f"- {SUBJECTS[name].title}: {made['about']}")
    for name in (name for name in SUBJECTS if name not in results):
        lines.append(f"- {SUBJECTS[name].title}: not run yet")
    for api in dict.fromkeys(feature.api for feature in FEATURES):
        lines += [f"\n## {api}\n", f"| | {' | '.join(SUBJECTS[name].title for name in names)} |"]
        lines.append("|---" * (len(names) + 1) + "|")
        for feature in (one for one in FEATURES if one.api == api):
            cells = [_shown(results[name]["cells"].get(feature.key), notes) for name in names]
            lines.append(f"| {feature.title} | {' | '.join(cells)} |")
    if notes:
        lines += ["\n## Reasons\n", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines)


def _shown(found: Cell | None, notes: list[str]) -> str:
    if found is None:
        return "–"
    why = found.get("why")
    if why is None:
        return found["state"]
    if why not in notes:
        notes.append(why)
    return f"{found['state']} ({notes.index(why) + 1})"


_HEAD = """<!-- Made by scripts/compatibility from what the suite found; run that instead of editing. -->

Every feature of the APIs the gateway speaks, asked for with the `openai`, `anthropic` and `ollama` packages through a
running gateway, before each engine.

- **holds**: the engine answers it, its bytes passed on (pages such as the list of models the gateway answers itself)
- **translated**: the engine lacks this API; the gateway translates, and the client sees what it expects
- **refused**: an error in the shape of the client's own API, with the reason; never a silent answer of another kind
- **no**: asked for and not got, without an error
- –: not asked yet

What these tables do not name (files, images, audio, batches, assistants, realtime, other models …) is
[passed on to the incumbent or refused](../guides/gateway.md#everything-else) by `[incumbent] others`; 39 calls of the
`openai` package and 7 of `anthropic` are held to what a direct call gets in `tests/gateway/test_passing_clients.py`.

[Conformance](conformance.md) holds llama.cpp to the vendors' references by finer checks.

Columns marked as fake are servers that do what that API's documentation says; a test holds their columns and echo's
to what runs. The others are run by hand:

    scripts/compatibility llamacpp vllm ollama-real

What was run:
"""
