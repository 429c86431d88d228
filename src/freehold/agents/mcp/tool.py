"""What a tool is: a name, words for a model, arguments with a schema, what it does to the world, and the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from freehold.agents.mcp.limits import AgentBudget, Places
from freehold.types.progress import Progress

if TYPE_CHECKING:
    from freehold.api.project import FreeholdProject


@dataclass(frozen=True)
class ToolCall:
    """What a tool works with: the project, where files may lie, what may be spent, and who is told of progress."""

    root: Path
    places: Places
    budget: AgentBudget
    progress: Progress

    @cached_property
    def project(self) -> FreeholdProject:
        """The project, read again for each call: its file may have been written since."""
        from freehold.api.project import FreeholdProject

        return FreeholdProject.load(self.root, must_exist=False)


Effect = Literal["reads", "writes", "acts"]
"""`reads`: nothing is changed. `writes`: files of the project are added or made again. `acts`: traffic moves, money is
spent, something is trained or deleted, or an endpoint is asked: the user is asked first."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tool is called with. An unknown key is an error: a misspelt one must not be passed over."""


class ActArguments(Arguments, frozen=True, kw_only=True):
    """What a tool that acts is called with besides."""

    confirmation: (
        Annotated[
            str,
            Meta(
                max_length=40,
                description="The code that the user was shown by `freehold mcp confirm`, where the client cannot ask "
                "them. Leave it out in the first call.",
            ),
        ]
        | None
    ) = None


class Tool(NamedTuple):
    """One tool. `call` returns a record, a list of records, or plain values.

    `asks` says, for a tool that acts, what the user is asked to agree to. `destructive` tools take something away or
    move traffic, `open_world` ones reach beyond this machine.
    """

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    call: Callable[[ToolCall, Any], Any]
    effect: Effect = "reads"
    asks: Callable[[ToolCall, Any], str] | None = None
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments, with nothing referred to."""
        (schema,), components = msgspec.json.schema_components(
            [self.arguments], ref_template="#/$defs/{name}"
        )
        found = components[self.arguments.__name__] if "$ref" in schema else schema
        others = {name: one for name, one in components.items() if name != self.arguments.__name__}
        made: dict[str, Any] = {
            key: value for key, value in found.items() if key not in ("title", "description")
        }
        if others:
            made["$defs"] = others
        return made


FileName = Annotated[
    str, Meta(min_length=1, max_length=1000, description="A path, relative to the project's folder.")
]
FileNames = Annotated[list[FileName], Meta(min_length=1, max_length=100)]
ModelName = Annotated[
    str,
    Meta(min_length=1, max_length=300, description="A model's id as on Hugging Face, such as Qwen/Qwen3-8B."),
]
Route = Annotated[str, Meta(max_length=200, description="The route; without it the project's own.")] | None
Why = Annotated[
    str, Meta(max_length=500, description="The reason, kept in the route's history. Name no person.")
]
