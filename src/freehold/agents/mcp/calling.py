"""One call of a tool, from its name and arguments to a document: within limits, inside the project, on the record."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.agents.mcp.call import ToolCall
from freehold.agents.mcp.confirming import Confirmations, call_id
from freehold.agents.mcp.limits import AgentBudget, CallRate
from freehold.agents.mcp.places import Places
from freehold.agents.mcp.shown import document
from freehold.agents.mcp.tool import Tool
from freehold.errors import FreeholdError, UsageError, did_you_mean
from freehold.types.progress import Progress


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
