"""What `freehold up` serves: the plan that was chosen for a project."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from freehold.errors import UnknownModelError, UsageError, WeightsError
from freehold.progress import Progress
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.workflows.project import Project
from freehold.workflows.serve.plan import of_config, pull_and_plan
from freehold.workflows.weights.pull import ensure_weights


def project_plan(project: Project, *, progress: Progress | None = None) -> ServePlan:
    """What `freehold migrate` chose last for this project, else its first candidate that writes text, as it comes.

    Raises `UsageError` where there is none, and `WeightsError` when the chosen weights are gone and cannot be fetched
    again: another model under the same name would answer unnoticed.
    """
    with open_store(project.store_url) as store:
        chosen = store.latest(ServePlan)
    if chosen is not None:
        gone = chosen.weights_path is not None and not Path(chosen.weights_path).exists()
        return _with_weights_fetched_again(chosen, project, progress) if gone else chosen
    first = project.config.writer
    if first is None:
        raise UsageError(
            "no candidate can be served as it comes: each is an encoder that is not trained yet, or answers elsewhere",
            hint="freehold migrate trains and proves one; freehold up --no-engine runs the gateway alone",
        )
    return pull_and_plan(
        first.model,
        of_config(project.config.serve),
        project.settings,
        progress=progress,
    )


def _with_weights_fetched_again(chosen: ServePlan, project: Project, progress: Progress | None) -> ServePlan:
    """The plan with its weights where they are now, fetched again when they were removed."""
    weights = None
    with contextlib.suppress(WeightsError, UnknownModelError):
        weights = ensure_weights(chosen.model, project.settings, progress=progress)
    if weights is None or weights.sha256 != chosen.weights_sha256:
        raise WeightsError(
            f"the weights that freehold migrate chose are gone: {chosen.weights_path}",
            hint="freehold migrate makes or fetches them again; freehold up --model NAME serves another",
        )
    return msgspec.structs.replace(chosen, weights_path=weights.path)
