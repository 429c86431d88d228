"""Two files of outputs, looked at first and compared, the look counted in the project's store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import msgspec

from freehold.evals.scorers import for_task
from freehold.progress import Progress, Silent
from freehold.stats.clustered import encode_groups
from freehold.stats.looks import LookPlan
from freehold.store import open_store
from freehold.types.dataset import Sample
from freehold.types.evaluated import Evaluation, EvaluationLine
from freehold.types.evaluation import Task
from freehold.types.finding import Finding, Preflight
from freehold.workflows.project import Project, now
from freehold.workflows.prove.looks import Looks
from freehold.workflows.prove.outputs import GIVEN, evaluate_outputs, paired_samples
from freehold.workflows.prove.preflight.address import AskedEndpoint, address_findings
from freehold.workflows.prove.preflight.check import require, scorer_addresses
from freehold.workflows.prove.preflight.reach import Items, reach_findings
from freehold.workflows.prove.preflight.scorer import scorer_findings
from freehold.workflows.prove.task import task_of


class OutputFiles(NamedTuple):
    """Outputs of the incumbent (`a`) and the candidate (`b`), and the right answers where they are apart."""

    a: str
    b: str
    gold: Path | None = None


def files_task(
    project: Project,
    *,
    scorer: str | None = None,
    options: dict[str, Any] | None = None,
    margin: float | None = None,
) -> Task:
    """The task that two files are scored by: as `task_of`, and by the scores that stand in them where neither a scorer
    is named nor a project has one."""
    if scorer is None and project.config_path is None:
        scorer = GIVEN
    return task_of(project, scorer=scorer, options=options, margin=margin)


async def evaluate_files(
    project: Project,
    outputs: OutputFiles,
    task: Task,
    *,
    planned_looks: int = 1,
    anyway: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare two files. Raises as `evaluate_outputs`, and `PreflightError` where the scorer or the model behind it
    would fail (with `anyway` it is only told)."""
    found = await files_preflight(outputs, task, planned_looks=planned_looks)
    require(found, anyway=anyway, progress=progress or Silent())
    with open_store(project.store_url) as store:
        made = await evaluate_outputs(
            outputs.a,
            outputs.b,
            task=task,
            gold=outputs.gold,
            looks=Looks(store, LookPlan(planned_looks)),
        )
        store.put_once(EvaluationLine.of(made, now()))
        return made


async def files_preflight(outputs: OutputFiles, task: Task, *, planned_looks: int = 1) -> Preflight:
    """What is wrong with the scorer, and what the items can prove. The answers are there and cost nothing, so too few
    items for the margin is worth a line, never a refusal."""
    began = time.monotonic()
    samples = paired_samples(outputs.a, outputs.b, task=task, gold=outputs.gold)
    findings: list[Finding] = []
    if task.scorer != GIVEN:
        findings += await scorer_findings(task, samples)
        async with anyio.create_task_group() as group:
            for address in scorer_addresses(task):
                group.start_soon(_ask, address, findings)
    if not any(one.outcome == "fail" for one in findings):
        findings += _reach(task, samples, planned_looks)
    return Preflight(findings=tuple(findings), items=len(samples), seconds=round(time.monotonic() - began, 3))


def _reach(task: Task, samples: Sequence[Sample], planned_looks: int) -> Iterator[Finding]:
    codes = encode_groups([one.group for one in samples])
    # Scores that the files carry may be of any kind.
    binary = task.scorer != GIVEN and for_task(task).binary
    items = Items(len(samples), binary, codes, judged=task.scorer == "judge")
    for one in reach_findings(items, margin=task.margin, alpha=task.alpha, looks=LookPlan(planned_looks)):
        yield msgspec.structs.replace(one, outcome="warn") if one.outcome == "fail" else one


async def _ask(address: AskedEndpoint, findings: list[Finding]) -> None:
    findings += await address_findings(address)
