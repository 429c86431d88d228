"""One call of a tool, from its name and arguments to a document: within limits, inside the project, on the record."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.agents.mcp.confirming import Confirmations, call_id
from freehold.agents.mcp.limits import AgentBudget, CallRate, Places
from freehold.agents.mcp.tool import Tool, ToolCall
from freehold.errors import FreeholdError, UsageError, did_you_mean
from freehold.types.progress import Progress

# What an agent gets to see of a record: all of its figures, and of customers' words none unless the user allows it.
# What a tool returns goes to the model that the agent asks, which mostly is another company's.

MOST_ITEMS = 40
MOST_CHARACTERS = 2_000
PRIVATE = frozenset({"disagreements", "first_rejects", "first_reject", "first", "items"})
"""Fields that hold what people wrote: questions and answers of traffic, rejected lines of a log."""


def document(value: Any, *, with_words: bool = False) -> dict[str, Any]:
    """A record, a list of records or plain values as a JSON object. Long lists and texts are cut, and `left_out` says
    where, by path and count; so it does for customers' words, unless `with_words`."""
    plain = msgspec.to_builtins(value)
    left_out: dict[str, Any] = {}
    if isinstance(plain, list | tuple):
        plain = {"list": plain}
    elif not isinstance(plain, dict):
        plain = {"value": plain}
    made = _short(plain, "", left_out, with_words)
    assert isinstance(made, dict)
    if left_out:
        made["left_out"] = left_out
    return made


def _short(value: Any, path: str, left_out: dict[str, Any], with_words: bool) -> Any:
    if isinstance(value, str):
        if len(value) <= MOST_CHARACTERS:
            return value
        left_out[path] = f"{len(value) - MOST_CHARACTERS:,} characters"
        return value[:MOST_CHARACTERS]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    if isinstance(value, list | tuple):
        if len(value) > MOST_ITEMS:
            left_out[path] = f"{len(value) - MOST_ITEMS:,} of {len(value):,}"
        return [_short(one, f"{path}[{n}]", left_out, with_words) for n, one in enumerate(value[:MOST_ITEMS])]
    if isinstance(value, dict):
        made = {}
        for name, one in value.items():
            inner = f"{path}.{name}" if path else str(name)
            if name in PRIVATE and one and not with_words:
                left_out[inner] = "words of traffic; the user can allow them: freehold mcp --with-words"
                continue
            made[name] = _short(one, inner, left_out, with_words)
        return made
    return value


class AgentLimits(NamedTuple):
    """What the user who starts the server sets. `max_requests` and `budget_usd` are for the server's whole life."""

    calls_per_minute: int = 60
    max_requests: int = 1_000
    budget_usd: Decimal = Decimal(5)
    with_words: bool = False


class AskedCall(NamedTuple):
    """A call that is understood: its tool, its arguments, and the hash that a confirmation is for."""

    tool: Tool
    arguments: Any
    id: str


class AgentServer:
    """What the tools share: one project, its limits, and what waits for the user. Knows nothing of the protocol."""

    def __init__(
        self, root: Path, tools: dict[str, Tool], limits: AgentLimits, *, allowed: tuple[Path, ...] = ()
    ) -> None:
        self.tools, self.limits = tools, limits
        self.places = Places(root, allowed)
        self.budget = AgentBudget(limits.max_requests, limits.budget_usd)
        self._rate = CallRate(limits.calls_per_minute)

    @property
    def root(self) -> Path:
        return self.places.root

    @cached_property
    def confirmations(self) -> Confirmations:
        return confirmations_of(self.root)

    def count(self) -> None:
        """Count something that is asked. Raises `FloodError`."""
        self._rate.take()

    def understand(self, name: str, arguments: dict[str, Any]) -> AskedCall:
        """Count the call and read its arguments. Raises `UsageError` for an unknown tool or argument, `FloodError`."""
        self.count()
        tool = self.tools.get(name)
        if tool is None:
            raise UsageError(
                f"there is no tool {name}", hint=did_you_mean(name, self.tools, "list the tools")
            )
        try:
            read = msgspec.convert(arguments, tool.arguments)
        except msgspec.ValidationError as error:
            known = ", ".join(tool.arguments.__struct_fields__)
            raise UsageError(
                f"{name}: {str(error).replace('`', '')}", hint=f"its arguments: {known}"
            ) from None
        return AskedCall(tool, read, call_id(name, msgspec.to_builtins(read)))

    def question(self, asked: AskedCall) -> str:
        """What the user has to agree to, in words. Raises where the call would be refused anyway."""
        assert asked.tool.asks is not None
        from freehold.types.progress import Silent

        return asked.tool.asks(self._call(Silent()), asked.arguments)

    def run(self, asked: AskedCall, progress: Progress) -> dict[str, Any]:
        """Do it, and spend no more than is left. Blocks; raises `FreeholdError`."""
        from freehold.evals.chat.spending_cap import spending_cap
        from freehold.store.audit import this_machine
        from freehold.types.audit import change_source
        from freehold.workflows.journey.paying import ProjectSpendingCap

        call = self._call(progress)
        source = change_source.set(this_machine(f"mcp {asked.tool.name}"))
        cap = spending_cap.set(ProjectSpendingCap(lambda: call.project.config, self.budget))
        try:
            found = asked.tool.call(call, asked.arguments)
        finally:
            spending_cap.reset(cap)
            change_source.reset(source)
        return document(found, with_words=self.limits.with_words)

    def _call(self, progress: Progress) -> ToolCall:
        return ToolCall(self.root, self.places, self.budget, progress)


def confirmations_of(root: Path) -> Confirmations:
    """Where a project's confirmations wait."""
    from freehold.settings import load

    return Confirmations((load().state or root / ".freehold") / "mcp")


def told(error: FreeholdError) -> dict[str, Any]:
    """An error as a document: what `--json` prints for a command."""
    return {
        "error": {
            "message": error.message,
            "hint": error.hint,
            "code": error.code(),
            "retryable": error.retryable,
        },
        **msgspec.to_builtins(error.told()),
    }
