"""Ask for everything, and make the page of what was found. `results.json` beside this file keeps the last run."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import http_checks  # noqa: F401
import messages_checks  # noqa: F401
import ollama_checks  # noqa: F401
import openai_chat_checks  # noqa: F401
import openai_error_checks  # noqa: F401
import openai_other_checks  # noqa: F401
import openai_output_checks  # noqa: F401
import responses_checks  # noqa: F401
from checks import CHECKS, Check
from rig import SMOLLM2, Clients, behind_a_gateway

FILE = Path(__file__).with_name("results.json")
PACKAGES = ("openai", "anthropic", "ollama")


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


def counts(found: dict[str, str | None]) -> str:
    held = sum(why is None for why in found.values())
    return f"{held} of {len(found)} hold"
