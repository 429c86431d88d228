"""What a rehearsal takes from a project: its rollout's settings, and the rate of its traffic."""

from __future__ import annotations

from freehold.store import Store
from freehold.workflows.project import Project
from freehold.workflows.project_store import opened_store
from freehold.workflows.shift.rollout.rehearse import RehearsalSettings

USUAL_RATE = 20.0
"""Requests a second, where no log says."""
_LAST = 2000
_LEAST_S = 10.0


def settings_of(project: Project, *, rate: float | None, share: float | None) -> RehearsalSettings:
    """The settings that the project's next rollout would have. `rate` and `share` are said by the caller, or None."""
    rollout = project.config.rollout
    if rate is None:
        with opened_store(project) as (store, _):
            rate = rate_of(store) or USUAL_RATE
    return RehearsalSettings(
        shadow_share=rollout.shadow,
        canary_share=rollout.canary[-1] if share is None else share,
        requests_per_user=rollout.requests_per_user,
        window_s=rollout.window_minutes * 60,
        failure_window_s=rollout.failure_window_seconds,
        max_p95_ms=rollout.max_p95_ms,
        rate=rate,
        look_seconds=rollout.look_seconds,
    )


def rate_of(store: Store) -> float | None:
    """Requests a second among the gateway's newest traces; None where there are too few to say."""
    newest = store.latest_traces(_LAST, complete_only=False, own_only=True)
    times = [trace.at for trace in newest if trace.route is not None]
    if len(times) < 2:
        return None
    seconds = (times[0] - times[-1]).total_seconds()
    return None if seconds < _LEAST_S else (len(times) - 1) / seconds
