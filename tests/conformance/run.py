"""Ask for everything, and make the page of what was found. `results.json` beside this file keeps the last run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import http_checks  # noqa: F401
import messages_checks  # noqa: F401
import openai_chat_checks  # noqa: F401
import openai_error_checks  # noqa: F401
import openai_other_checks  # noqa: F401
import openai_output_checks  # noqa: F401
import responses_checks  # noqa: F401
from checks import CHECKS, Check
from rig import SMOLLM2, Clients, behind_a_gateway

FILE = Path(__file__).with_name("results.json")
PACKAGES = ("openai", "anthropic")


def run(only: str = "", tell: Callable[[str], None] = str) -> dict[str, str | None]:
    """Why each check failed, by its part and title; None where it held. `only` is a part of these names; `tell` gets a
    line for each that failed as it did."""
    found: dict[str, str | None] = {}
    with behind_a_gateway() as ask:
        for one in CHECKS:
            if only in (name := name_of(one)):
                found[name] = why_not(one, ask)
                if found[name] is not None:
                    tell(f"{name}: {found[name]}")
    return found


def name_of(check: Check) -> str:
    return f"{check.part}: {check.title}"


def why_not(check: Check, ask: Clients) -> str | None:
    try:
        check.ask(ask)
    except Exception as error:  # noqa: BLE001
        words = re.sub(r"\s+", " ", str(error)).strip()
        return (words if isinstance(error, AssertionError) and words else f"{type(error).__name__} {words}")[
            :300
        ]
    return None


def about() -> str:
    clients = ", ".join(f"{one} {version(one)}" for one in PACKAGES)
    return f"xllamacpp {version('xllamacpp')} with {SMOLLM2}; {datetime.now(UTC):%Y-%m-%d}, clients {clients}"


def load() -> dict[str, Any]:
    """The last run: `about`, how many `checks`, and which `failed` with the reason."""
    kept: dict[str, Any] = json.loads(FILE.read_text())
    return kept


def save(kept: dict[str, Any]) -> None:
    FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def page(kept: dict[str, Any]) -> str:
    """The reference page."""
    failed: dict[str, str] = kept["failed"]
    held = kept["checks"] - len(failed)
    lines = [_HEAD, f"What was run: {kept['about']}. **{held} of {kept['checks']} hold.**"]
    for part in dict.fromkeys(one.part for one in CHECKS):
        lines.append(f"\n## {part}\n")
        for one in (one for one in CHECKS if one.part == part):
            why = failed.get(name_of(one))
            lines.append(f"- {one.title}" + ("" if why is None else f" (**fails**: {why})"))
    return "\n".join(lines) + "\n"


_HEAD = """# Conformance

<!-- Made by scripts/conformance from what the suite found; run that instead of editing. -->

The checks of a strict outside reader of the gateway in front of a real engine: llama.cpp with SmolLM2 as its
makers publish it, with the tools that freehold puts into its chat template, and for embeddings. They are asked
with the `openai` and `anthropic` packages and by plain HTTP. Answers, events and errors are read by
the types that these packages were made with, and held to what the references of OpenAI and Anthropic
say. Where freehold refuses by design what a reference has, the check is that the refusal is one of that API:
its status, its form, the field's name.

    scripts/conformance            all of it
    scripts/conformance Anthropic  what has this in its name, without keeping it
"""
