"""What a tool is: a name, words for a model, arguments with a schema, what it does to the world, and the call; and the
limits within which an agent may call it: how often, how far into the files, and for how much."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from freehold.agents.mcp.answers import Answers
from freehold.errors import UsageError
from freehold.progress import Progress
from freehold.visible import visible

if TYPE_CHECKING:
    from freehold.api.project import FreeholdProject


class OutsideError(UsageError):
    """A path leads out of the project's folder."""


class Places:
    """Folders whose files may be named. Links count as where they lead."""

    def __init__(self, root: Path, allowed: Iterable[Path] = ()) -> None:
        self._root = root.resolve()
        self._allowed = (self._root, *(one.expanduser().resolve() for one in allowed))

    @property
    def root(self) -> Path:
        return self._root

    def inside(self, name: str) -> Path:
        """The file or folder that is meant, as an absolute path. Raises `OutsideError` for any other place."""
        if "\0" in name:
            raise OutsideError("a path with a NUL byte names nothing")
        try:
            path = (self._root / Path(name).expanduser()).resolve()
        except (RuntimeError, UnicodeEncodeError):  # the home of an unknown user; half of a surrogate pair
            raise OutsideError(f"{visible(name)}: names nothing") from None
        if not any(path.is_relative_to(folder) for folder in self._allowed):
            raise OutsideError(
                f"{name}: outside the project's folder {self._root}",
                hint="copy the file into it, or have the user start the server with --allow FOLDER",
            )
        return path

    def all_inside(self, names: Iterable[str]) -> tuple[Path, ...]:
        return tuple(self.inside(name) for name in names)

    def model(self, name: str) -> str:
        """A model's id; what reads as a path must lie inside, an address is refused."""
        if "://" in name:
            raise OutsideError(f"{name}: a model is named by its id, not by an address")
        looks_like_a_path = name.startswith((".", "/", "~")) or (self._root / name).exists()
        return str(self.inside(name)) if looks_like_a_path else name

    def machine(self, name: str | None) -> str | None:
        """Words for a machine, or a machine file inside."""
        if name is None:
            return None
        looks_like_a_path = name.endswith((".toml", ".json")) or name.startswith((".", "/", "~"))
        return str(self.inside(name)) if looks_like_a_path else name


class FloodError(UsageError):
    """More calls than the server takes."""

    retryable = True


class OverBudgetError(UsageError):
    """What a tool wants to spend is more than is left."""


class CallRate:
    """A token bucket: at most `per_minute` calls in a minute, and no more than that at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._clock = per_minute, clock
        self._tokens, self._at = float(per_minute), clock()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count a call. Raises `FloodError` that says when the next one is taken."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._size, self._tokens + (now - self._at) * self._size / 60)
            self._at = now
            if self._tokens < 1:
                wait = (1 - self._tokens) * 60 / self._size
                raise FloodError(
                    f"more than {self._size} calls a minute",
                    hint=f"wait {math.ceil(wait)} s, and ask for less at once",
                )
            self._tokens -= 1


class AgentBudget:
    """What tools may spend while the server runs. Taken before it is spent, and given back where less was: each
    request by itself, as it is sent (see `freehold.workflows.journey.paying`)."""

    def __init__(self, requests: int, usd: Decimal) -> None:
        self.requests, self.usd = requests, usd
        self._lock = threading.Lock()

    @property
    def usd_left(self) -> Decimal:
        """What may still be spent: an answer that cost more than it could leaves less than nothing of `usd`."""
        return max(self.usd, Decimal(0))

    def check(self, requests: int, usd: Decimal | None, what: str) -> None:
        """Whether that much is left, before anything of it is sent. Reserves nothing. Raises as `take` does."""
        with self._lock:
            self._check(requests, usd, what)

    def take(self, requests: int, usd: Decimal | None, what: str) -> None:
        """Reserve. `usd` is an upper estimate; None where no price is known, which no budget of dollars can cover
        unless it is 0 requests. Raises `OverBudgetError`."""
        with self._lock:
            self._check(requests, usd, what)
            self.requests -= requests
            self.usd -= usd or Decimal(0)

    def give_back(self, requests: int, usd: Decimal) -> None:
        """What was reserved and not spent."""
        with self._lock:
            self.requests += max(requests, 0)
            self.usd += max(usd, Decimal(0))

    def charge(self, usd: Decimal) -> None:
        """What was spent beyond what was reserved: it is gone, even where less than that is left."""
        with self._lock:
            self.usd -= usd

    def _check(self, requests: int, usd: Decimal | None, what: str) -> None:
        if requests > self.requests:
            raise OverBudgetError(
                f"{what} would send {requests:,} requests, {self.requests:,} are left",
                hint="ask for fewer, or have the user start the server with a larger --max-requests",
            )
        if usd is None and requests:
            raise OverBudgetError(
                f"what {what} costs is not known here, so that no budget can hold it",
                hint="the user can run the command, or set prices in freehold.toml",
            )
        if usd is not None and usd > self.usd_left:
            raise OverBudgetError(
                f"{what} would cost about {_dollars(usd)}, {_dollars(self.usd_left)} are left",
                hint="ask for less, or have the user start the server with a larger --budget-usd",
            )


def _dollars(usd: Decimal) -> str:
    """With four digits below ten cents: a single request costs less than a cent."""
    return f"${usd:.2f}" if usd == 0 or usd >= Decimal("0.1") else f"${usd:.4f}"


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
