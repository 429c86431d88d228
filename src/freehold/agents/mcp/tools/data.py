"""Tools that make a project of a log: its file, its traces, its dataset."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from freehold.agents.mcp.tool import Arguments, FileName, FileNames, Tool, ToolCall
from freehold.agents.mcp.tools.questions import NoArguments


class DraftArguments(Arguments, frozen=True, kw_only=True):
    files: FileNames
    held_out: Annotated[FileName, Meta(description="A file kept for the proof, never trained on.")] | None = (
        None
    )
    incumbent: (
        Annotated[str, Meta(max_length=200, description="The rented model; None: as the log names it.")]
        | None
    ) = None


class ImportArguments(Arguments, frozen=True, kw_only=True):
    files: Annotated[
        list[FileName], Meta(max_length=100, description="Empty: those that freehold.toml names.")
    ] = []
    held_out: Annotated[bool, Meta(description="Keep all of it for the proof.")] = False


class RescueArguments(Arguments, frozen=True, kw_only=True):
    file: FileName
    model: (
        Annotated[
            str, Meta(max_length=300, description="The fine-tune: ft:gpt-4o-mini-2024-07-18:acme::abc123.")
        ]
        | None
    ) = None


def _draft(call: ToolCall, asked: DraftArguments) -> Any:
    files = call.places.all_inside(asked.files)
    return call.project.draft(
        *files,
        folder=call.root,
        held_out=None if asked.held_out is None else call.places.inside(asked.held_out),
        incumbent=asked.incumbent,
    )


def _import(call: ToolCall, asked: ImportArguments) -> Any:
    files = call.places.all_inside(asked.files)
    return list(call.project.import_traffic(*files, held_out=asked.held_out, progress=call.progress))


def _rescue(call: ToolCall, asked: RescueArguments) -> Any:
    file = call.places.inside(asked.file)
    return call.project.prepare_rescue(file, model=asked.model, folder=call.root, progress=call.progress)


TOOLS = (
    Tool(
        "draft_project", "Write a first freehold.toml",
        "Writes freehold.toml into the project's folder from what log files tell: format, model, "
        "scorer, candidates. An existing one is left. `open` in the answer lists what the files could"
        " not tell: ask the user about these, above all the use ([use]) and the margin ([task]). Then"
        " check_migration.",
        DraftArguments, _draft, "writes",
    ),
    Tool(
        "prepare_rescue", "Make a project of a fine-tuning file",
        "For a fine-tuned GPT that stops on a date: makes a project of its fine-tuning file, builds "
        "the dataset, and says when it ends and what freezing its answers would cost. Asks no API. "
        "Then check_migration, freeze_incumbent, migrate.",
        RescueArguments, _rescue, "writes", idempotent=True,
    ),
    Tool(
        "import_traffic", "Bring logged traffic in",
        "Stores logged requests and answers as traces of the project. Bad records are kept aside with"
        " line and reason. check_migration and migrate do it for the files that freehold.toml names.",
        ImportArguments, _import, "writes", idempotent=True,
    ),
    Tool(
        "check_dataset", "What a dataset would hold",
        "What building a dataset would find and do: personal data, repeats, leaks, doubtful labels. "
        "Keeps nothing.",
        NoArguments, lambda call, asked: call.project.check_dataset(progress=call.progress),
    ),
    Tool(
        "build_dataset", "Build the dataset",
        "Makes an immutable dataset of the traces: personal data replaced, repeats gone, nothing held"
        " out is also taught.",
        NoArguments, lambda call, asked: call.project.build_dataset(progress=call.progress),
            "writes", idempotent=True,
    ),
)  # fmt: skip
