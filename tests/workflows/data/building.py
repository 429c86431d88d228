"""Projects with traces, for tests of what becomes of them."""

from datetime import UTC, datetime
from pathlib import Path

from freehold.settings import load as load_settings
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.trace import Trace
from freehold.workflows.project import Project

TOML = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o-2024-08-06"
[task]
scorer = "label"
[curate]
personal_data = "patterns"
"""
COLOURS = ["red", "green", "blue", "violet", "orange", "brown", "silver"]


def project_of(folder: Path, toml: str = TOML) -> Project:
    return Project(folder, parse(toml), load_settings({"FREEHOLD_HOME": str(folder / "home")}), None)


def trace(number, text, *, gold="yes", incumbent="yes", **fields):
    said = (
        None if incumbent is None else {"choices": [{"message": {"role": "assistant", "content": incumbent}}]}
    )
    return Trace(
        id=f"t{number:05}",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        source="import:log.jsonl#1",
        model="gpt-4o-2024-08-06",
        request={"messages": [{"role": "user", "content": text}]},
        response=said,
        gold=gold,
        **fields,
    )


def question(number):
    return f"does lamp {number * 7919} come in {COLOURS[number % 7]}, and in size {number}? {chr(97 + number % 26) * 6}"


def fill(project, traces):
    with open_store(project.store_url) as store:
        store.add_traces(traces)
