"""Tools that make a project of a log: its file, its traces, its dataset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from freehold.agents.mcp.tool import Arguments, FileName, FileNames, Name, Tool, ToolCall, ToolKinds, about


class DraftArguments(Arguments, frozen=True, kw_only=True):
    files: FileNames
    held_out: Annotated[FileName | None, about("A file kept for the proof, never trained on.")] = None
    incumbent: Annotated[Name | None, about("The rented model, where the log does not name it.")] = None


class ImportArguments(Arguments, frozen=True, kw_only=True):
    files: Annotated[list[FileName], Meta(max_length=100), about("Without them those of freehold.toml.")] = []
    held_out: Annotated[bool, about("Keep all of it for the proof.")] = False


class RescueArguments(Arguments, frozen=True, kw_only=True):
    file: FileName
    model: Annotated[Name | None, about("The fine-tune: ft:gpt-4o-mini-2024-07-18:acme::abc123.")] = None


class MakeArguments(Arguments, frozen=True, kw_only=True):
    kind: Literal["dataset", "backup"]


MAKE = ToolKinds(
    dataset=(lambda call, asked: call.project.build_dataset(progress=call.progress),),
    backup=(lambda call, asked: call.project.care.back_up(progress=call.progress),),
)


def _draft(call: ToolCall, asked: DraftArguments) -> Any:
    files, held_out = (
        call.places.all_inside(asked.files),
        asked.held_out and call.places.inside(asked.held_out),
    )
    return call.project.draft(*files, folder=call.root, held_out=held_out, incumbent=asked.incumbent)


def _import(call: ToolCall, asked: ImportArguments) -> Any:
    files = call.places.all_inside(asked.files)
    return call.project.import_traffic(*files, held_out=asked.held_out, progress=call.progress)


TOOLS = (
    Tool(
        "draft_project", "Write a first freehold.toml",
        "Writes freehold.toml from what log files tell: format, model, scorer, candidates. One that is there is left. "
        "`open` lists what the files could not tell: ask the user about these, above all the use ([use]) and the "
        "margin ([task]). Then check_migration.",
        DraftArguments, _draft, "writes",
    ),
    Tool(
        "prepare_rescue", "Make a project of a fine-tuning file",
        "For a fine-tuned GPT that stops on a date: makes a project of its fine-tuning file, builds "
        "the dataset, and says when it ends and what freezing its answers would cost. Asks no API. "
        "Then check_migration, run_step(freeze), migrate.",
        RescueArguments,
        lambda call, asked: call.project.prepare_rescue(**call.within(asked), folder=call.root, progress=call.progress),
        "writes", idempotent=True,
    ),
    Tool(
        "import_traffic", "Bring logged traffic in",
        "Stores logged requests and answers as traces of the project. Bad records are kept aside with"
        " line and reason. check_migration and migrate do it for the files that freehold.toml names.",
        ImportArguments, _import, "writes", idempotent=True,
    ),
    Tool(
        "make", "Build the dataset, or back the store up",
        "dataset: an immutable one of the traces, personal data replaced, repeats gone, nothing held out also taught. "
        "backup: a copy of the store in the project's state folder.",
        MakeArguments, MAKE.call, "writes",
    ),
)  # fmt: skip
