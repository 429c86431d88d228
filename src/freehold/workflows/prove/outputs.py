"""`freehold evaluate --a --b`: two files of outputs compared, without asking a model, the look counted in the store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.evals.comparing import SideBySide, disagreements, summarize
from freehold.evals.outputs import OutputLine, OutputSource, Pairs, listed, pair, read_outputs, source, unique
from freehold.evals.scorer import ChatAnswer
from freehold.evals.scorers import for_task, sandbox_of, score_all, scorer_of
from freehold.evals.task_comparison import compare_by_task
from freehold.progress import Progress, Silent
from freehold.stats.clustered import encode_groups
from freehold.stats.looks import LookPlan
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import Evaluation, EvaluationLine
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.types.finding import Finding, Preflight
from freehold.types.identity import looked_at, question_id
from freehold.workflows.project import Project, now
from freehold.workflows.prove.looks import Looks, context_of, look_at, with_look
from freehold.workflows.prove.preflight import asked_findings, require
from freehold.workflows.prove.reach import Items, reach_findings
from freehold.workflows.prove.results import DISAGREEMENTS_KEPT, evaluation_id, measured
from freehold.workflows.prove.task import task_of

ALONE = Looks()
GIVEN = "given"
"""Scorer name that stands for the scores the files carry."""


async def evaluate_outputs(
    a: str | Path,
    b: str | Path,
    *,
    task: Task,
    gold: str | Path | None = None,
    looks: Looks = ALONE,
) -> Evaluation:
    """Compare the outputs in file `b` (candidate) with those in `a` (incumbent), item by item.

    Files of other tools are read too (`freehold.evals.outputs`); ``FILE::NAME`` names one of several sets in a file.
    The right answers stand in the lines' ``gold`` or in the file `gold`. A task with the scorer ``given`` uses the
    scores in the files. Ids that are not in both files are an error.
    The items that `looks` counts are the lines' questions, of lines without one their ids.
    Raises `InputError` and `UsageError` for files that do not fit, `ConfigError` for the scorer.
    """
    file_a, file_b = source(str(a)), source(str(b))
    pairs = _pairs(file_a, file_b)
    references = _references(pairs, gold, required=task.scorer != GIVEN)
    samples = _samples(pairs, references)
    first, second = _name_of(file_a), _name_of(file_b)
    lines_a, lines_b = [one for one, _ in pairs], [other for _, other in pairs]
    results = SideBySide(
        samples,
        references,
        await _results(first, samples, lines_a, references, task, file_a.path),
        await _results(second, samples, lines_b, references, task, file_b.path),
        first,
        second,
    )
    items = [
        _sha256(path)[:32]
        for path in (file_a.path, file_b.path, source(str(gold)).path if gold else None)
        if path is not None
    ]
    id = evaluation_id(items[0], task, results)
    dataset_id = f"sha256:{items[0]}"
    look = looks.take(
        look_at(
            samples,
            evaluation_id=id,
            dataset_id=dataset_id,
            names=(first, second),
            alpha=task.alpha,
            items=[_item(sample) for sample in samples],
        )
    )
    comparison, incumbent, candidate = await compare_by_task(
        results,
        msgspec.structs.replace(task, alpha=look.alpha),
        made_from=tuple(f"sha256:{item}" for item in items),
        notes=tuple(_notes(pairs, file_a, file_b, task)),
        context=context_of(look),
    )
    results = results._replace(incumbent=incumbent, candidate=candidate)
    differing = disagreements(samples, incumbent, candidate, references)
    return Evaluation(
        id=id,
        task=task,
        dataset_id=dataset_id,
        incumbent=first,
        candidate=second,
        endpoint="files",
        comparison=with_look(comparison, look),
        measured=measured(candidate, task.alpha),
        references="gold",
        latency=summarize(candidate, concurrency=1),
        sandbox=None if task.scorer == GIVEN else sandbox_of(task),
        disagreements=differing[:DISAGREEMENTS_KEPT],
        disagreements_total=len(differing),
        results_file=None,
    )


def paired_samples(
    a: str | Path, b: str | Path, *, task: Task, gold: str | Path | None = None
) -> list[Sample]:
    """The items that `evaluate_outputs` compares, with the incumbent's answers. Raises what it raises for the files."""
    pairs = _pairs(source(str(a)), source(str(b)))
    return _samples(pairs, _references(pairs, gold, required=task.scorer != GIVEN))


def _pairs(a: OutputSource, b: OutputSource) -> Pairs:
    return pair(unique(read_outputs(a), a.path), unique(read_outputs(b), b.path))


def _notes(pairs: Pairs, a: OutputSource, b: OutputSource, task: Task) -> Iterator[str]:
    """Which number of a file was compared where it holds several."""
    if task.scorer != GIVEN:
        return
    for place, given in enumerate((a, b)):
        lines = [pair[place] for pair in pairs]
        taken = {line.metric for line in lines if line.metric is not None}
        others = {name for line in lines for name in line.metrics} - taken
        if taken:
            more = (
                f"; it holds {', '.join(sorted(others))}, too ({given.path.name}::{min(others)})"
                if others
                else ""
            )
            yield f"Scores of {given.path.name}: {', '.join(sorted(taken))}{more}."


def _sha256(path: Path) -> str:
    """Of a file's bytes; of a folder's, file by file in the order of their names."""
    made = hashlib.sha256()
    for file in sorted(path.rglob("samples_*.jsonl")) if path.is_dir() else [path]:
        made.update(file.read_bytes())
    return made.hexdigest()


def _samples(pairs: Pairs, references: Sequence[str | None]) -> list[Sample]:
    return [
        Sample(
            id=one.id,
            messages=(Message(role="user", content=one.question or other.question or ""),),
            incumbent=one.output,
            gold=reference,
            group=one.group or other.group,
            metadata=other.metadata | one.metadata,
        )
        for (one, other), reference in zip(pairs, references, strict=True)
    ]


def _item(sample: Sample) -> str:
    """What the item is: its question as datasets know it, or its id, which is all that is known then."""
    asked = any(message.content for message in sample.messages)
    return looked_at(sample) if asked else question_id([{"role": "id", "content": sample.id}])


def _references(pairs: Pairs, gold: str | Path | None, *, required: bool) -> list[str | None]:
    """The right answers of the pairs, those of the file `gold` first. With `required` it must hold all of them."""
    golds = {line.id: line.gold or line.output for line in read_outputs(source(str(gold)))} if gold else {}
    missing = [one.id for one, _ in pairs if one.id not in golds]
    if required and gold is not None and missing:
        raise UsageError(f"{gold}: no right answer for {len(missing):,} ids: {listed(missing)}")
    return [golds.get(one.id) or one.gold or other.gold for one, other in pairs]


def _name_of(source: OutputSource) -> str:
    return source.name or source.path.stem


async def _results(
    name: str,
    samples: Sequence[Sample],
    lines: Sequence[OutputLine],
    references: Sequence[str | None],
    task: Task,
    path: Path,
) -> list[EvalResult]:
    if task.scorer == GIVEN:
        return [_given(name, line, path) for line in lines]
    answers = [
        ChatAnswer(output=line.output)
        if line.output is not None
        else ChatAnswer(fault="infrastructure", error="no_output: the line has no output")
        for line in lines
    ]
    async with scorer_of(task) as scorer:
        if scorer.needs_reference and not any(reference is not None for reference in references):
            raise UsageError(
                f"scorer {task.scorer} needs the right answers, and neither file has any",
                hint="put them into the lines as gold, or name a file of {id, gold}: --gold FILE",
            )
        return await score_all(scorer, name, samples, answers, references)


def _given(name: str, line: OutputLine, path: Path) -> EvalResult:
    if not line.scored:
        raise UsageError(
            f"{path}: item {line.id} has no score, and no scorer was asked for",
            hint="name one: --task label (or exact, numeric, json_fields …)",
        )
    reason = None if line.score is not None else "unscored: the file says null"
    return EvalResult(
        sample_id=line.id, model=name, output=line.output, score=Score(value=line.score, reason=reason)
    )


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
    findings = [] if task.scorer == GIVEN else await asked_findings(task, samples)
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
