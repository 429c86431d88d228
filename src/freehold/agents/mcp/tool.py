"""What a tool is: a name, words for a model, arguments with a schema, what it does to the world, and the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from freehold.agents.mcp.answers import Answers
from freehold.agents.mcp.limits import AgentBudget, Places
from freehold.errors import UsageError
from freehold.progress import Progress

if TYPE_CHECKING:
    from freehold.api.project import FreeholdProject


@dataclass(frozen=True)
class ToolCall:
    """What a tool works with: the project, where files may lie, what may be spent, and who is told of progress."""

    root: Path
    places: Places
    budget: AgentBudget
    progress: Progress
    answers: Answers

    @cached_property
    def project(self) -> FreeholdProject:
        """The project, read again for each call: its file may have been written since."""
        from freehold.api.project import FreeholdProject

        return FreeholdProject.load(self.root, must_exist=False)

    def within(self, asked: Arguments) -> dict[str, Any]:
        """Arguments by name, files and models that are paths as places inside."""
        inside = {
            "file": self.places.inside, "files": self.places.all_inside, "model": self.places.model,
            "machine": self.places.machine,
        }  # fmt: skip
        given = msgspec.structs.asdict(asked)
        return {
            name: one if one is None or name not in inside else inside[name](one)
            for name, one in given.items()
        }


Effect = Literal["reads", "writes", "acts"]
"""`reads`: nothing is changed. `writes`: files of the project are added or made again. `acts`: traffic moves, money is
spent, something is trained or deleted, or an endpoint is asked: the user is asked first."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tool is called with. An unknown key is an error: a misspelt one must not be passed over."""


def about(text: str) -> Meta:
    """What a model is told of an argument."""
    return Meta(description=text)


Code = Annotated[str, Meta(max_length=40)]
Name = Annotated[str, Meta(min_length=1, max_length=300)]
FileName = Annotated[str, Meta(min_length=1, max_length=1000)]
FileNames = Annotated[
    list[FileName], Meta(min_length=1, max_length=100), about("Paths in the project's folder.")
]
ModelName = Annotated[Name, about("A model's id, such as Qwen/Qwen3-8B.")]
Route = Annotated[Name | None, about("Without it the project's own.")]


class ActArguments(Arguments, frozen=True, kw_only=True):
    """What a tool that acts is called with besides."""

    confirmation: Annotated[Code | None, about("The user's, if the first call asked for one.")] = None


class ToolKind(NamedTuple):
    """One of the things that a tool does: `call` and `asks` as a tool's; `takes`: arguments that not all of it take."""

    call: Callable[[ToolCall, Any], Any]
    takes: tuple[str, ...] = ()
    asks: Callable[[ToolCall, Any], str] = lambda call, asked: ""


class ToolKinds(dict[str, ToolKind]):
    """What a tool does by the value of its `kind`. An argument that belongs to another one is an error."""

    def __init__(self, **kinds: tuple[Any, ...]) -> None:
        super().__init__({name: ToolKind(*one) for name, one in kinds.items()})

    def call(self, call: ToolCall, asked: Any) -> Any:
        return self._of(asked).call(call, asked)

    def asks(self, call: ToolCall, asked: Any) -> str:
        return self._of(asked).asks(call, asked)

    def _of(self, asked: Any) -> ToolKind:
        plain = type(asked)(kind=asked.kind)
        for name in {name for one in self.values() for name in one.takes} - set(self[asked.kind].takes):
            if getattr(asked, name) != getattr(plain, name):
                raise UsageError(f"{asked.kind} takes no {name}", hint=f"leave {name} out")
        return self[asked.kind]


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
        """JSON Schema of the arguments, in short: lengths of texts are checked without being told."""
        schema = msgspec.json.schema_components([self.arguments])[1][self.arguments.__name__]
        properties = {name: _short(one) for name, one in schema["properties"].items()}
        required = {"required": schema["required"]} if schema.get("required") else {}
        return {"type": "object", "properties": properties, **required, "additionalProperties": False}


def _short(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema and schema.get("default", 0) is None:
        schema = {**schema["anyOf"][0], **schema}
        del schema["anyOf"]
    if "items" in schema and "anyOf" not in schema["items"]:
        schema["items"] = _short(schema["items"])
    return {
        name: one
        for name, one in schema.items()
        if name not in ("minLength", "maxLength") and not (name == "default" and one in (None, "", []))
    }


def deletion(id: str) -> dict[str, str]:
    """Whom or what to forget, by the name of `forget`'s argument."""
    kind, _, name = id.partition(":")
    if kind not in ("user", "conversation", "trace") or not name:
        raise UsageError(f"{id}: not whom or what to forget", hint="user:NAME, conversation:NAME or trace:ID")
    return {kind: name}
