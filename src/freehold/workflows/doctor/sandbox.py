"""The check of what holds a scorer of the user's own: bubblewrap, or limits only."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.bounded.sandbox import SandboxState, sandbox_state
from freehold.types.finding import Finding, ok, warn
from freehold.types.record import Record
from freehold.workflows.doctor.site import Site


class SandboxFacts(Record, frozen=True, kw_only=True):
    """What this machine permits, and whether `[task]` names a function of the user's own."""

    state: SandboxState
    runs_own_code: bool


def look_at_sandbox(site: Site) -> SandboxFacts:
    task = site.config.task if site.config is not None else None
    return SandboxFacts(state=sandbox_state(), runs_own_code=task is not None and task.scorer == "code")


def judge_sandbox(facts: SandboxFacts) -> Iterator[Finding]:
    """Told where it matters: a project without such a scorer needs no sandbox."""
    state = facts.state
    if state.kind == "bubblewrap":
        yield ok(
            "sandbox", f"bubblewrap {state.version or ''} runs, for scorers of your own".replace("  ", " ")
        )
    elif facts.runs_own_code:
        yield warn("sandbox", f"your scorer runs with {state.name}: {state.why}", state.fix or "")
    else:
        yield ok("sandbox", f"a scorer of your own would run with {state.name}: {state.why}; {state.fix}")
