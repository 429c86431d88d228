"""One call of a tool, from its name and arguments to a document: within limits, inside the project, on the record."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.agents.mcp.answers import Answers, Wording
from freehold.agents.mcp.confirming import Confirmations, call_id
from freehold.agents.mcp.tool import AgentBudget, CallRate, Places, Tool, ToolCall
from freehold.errors import UsageError, did_you_mean
from freehold.progress import Progress, Silent


class AgentLimits(NamedTuple):
    """What the user who starts the server sets. `max_requests` and `budget_usd` are for the server's whole life;
    `read_only` leaves the tools out that do more than read."""

    calls_per_minute: int = 60
    max_requests: int = 1_000
    budget_usd: Decimal = Decimal(5)
    with_words: bool = False
    read_only: bool = False


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
        listed = (tool for tool in tools.values() if tool.effect == "reads" or not limits.read_only)
        self.tools, self.limits = {tool.name: tool for tool in listed}, limits
        self.places = Places(root, allowed)
        self.budget = AgentBudget(limits.max_requests, limits.budget_usd)
        self._rate = CallRate(limits.calls_per_minute)
        arguments = {name for tool in self.tools.values() for name in tool.arguments.__struct_fields__}
        self.say = Wording(self.tools, arguments)
        self.answers = Answers(self.say, with_words=limits.with_words)

    @property
    def root(self) -> Path:
        return self.places.root

    @cached_property
    def confirmations(self) -> Confirmations:
        return confirmations_of(self.root)

    def understand(self, name: str, arguments: dict[str, Any]) -> AskedCall:
        """Count the call and read its arguments. Raises `UsageError` for an unknown tool or argument, `FloodError`."""
        self._rate.take()
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
        return asked.tool.asks(self._call(Silent()), asked.arguments)

    def run(self, asked: AskedCall, progress: Progress) -> dict[str, Any]:
        """Do it, and spend no more than is left. Blocks; raises `FreeholdError`."""
        from freehold.evals.client import spending_cap
        from freehold.store.audit import this_machine
        from freehold.types.audit import change_source
        from freehold.workflows.journey.paying import ProjectSpendingCap

        call = self._call(progress)
        kind = getattr(asked.arguments, "kind", "")
        source = change_source.set(this_machine(f"mcp {asked.tool.name} {kind}".strip()))
        cap = spending_cap.set(ProjectSpendingCap(lambda: call.project.config, self.budget))
        try:
            found = asked.tool.call(call, asked.arguments)
        finally:
            spending_cap.reset(cap)
            change_source.reset(source)
        part, full = (getattr(asked.arguments, name, None) for name in ("part", "full"))
        return self.answers.document(found, part=part or "", full=bool(full))

    def _call(self, progress: Progress) -> ToolCall:
        return ToolCall(self.root, self.places, self.budget, progress, self.answers)


def confirmations_of(root: Path) -> Confirmations:
    """Where a project's confirmations wait."""
    from freehold.settings import load

    return Confirmations((load().state or root / ".freehold") / "mcp")
