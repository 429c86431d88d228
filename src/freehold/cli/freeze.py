"""`freehold freeze`: record the incumbent's answers; `freehold parity`: is what is served what was trained?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli.operation import BAR, Reply, arg, opened, operation, opt
from freehold.cli.output import Block

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.dataset import SplitName
    from freehold.types.evaluated import Freeze
    from freehold.types.gates import ParityReport
    from freehold.workflows.project import Project


@operation("freeze", "freehold.types.evaluated:Freeze")
def freeze(
    *,
    dataset_id: str | None = opt("Dataset: id, name or folder (default: the latest).", "--dataset"),
    split: SplitName = opt(
        "Whose requests to ask.", default="held_out", choices=["held_out", "validation", "train"]
    ),
    repeats: int = opt("How often to ask each; 2 or more show the incumbent's own noise.", default=1, ge=1),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Record the incumbent's answers to your requests, before it is retired: the model of [incumbent] in freehold.toml.

    Evaluations use them from then on. Asked again it goes on where it stopped.

    \b
    Example:
      freehold freeze --repeats 3
      freehold freeze --split validation
    """
    import anyio

    from freehold.workflows.prove.freeze import freeze as work

    freezing = partial(work, project, dataset_id=dataset_id, split=split, repeats=repeats, progress=bar)
    return Reply(anyio.run(freezing), _freeze_view)


def _freeze_view(made: Freeze) -> Iterator[Block]:
    yield f"{made.answered:,} answers of {made.model} to {made.samples:,} samples are frozen"
    if made.failed:
        yield f"  {made.failed:,} requests failed or were cut; run it again for those that did not come"
    if made.self_noise is not None:
        yield f"  self-noise {made.self_noise:.3f}: the share of samples its own answers score differently on"
    if made.retires is not None and made.days_left is not None:
        left = f"in {made.days_left:,} days" if made.days_left > 0 else "already past"
        yield f"  its maker shuts it down on {made.retires}, {left}"
    if made.completion_tokens is not None:
        yield f"  tokens {made.prompt_tokens or 0:,} in, {made.completion_tokens:,} out"
    if made.cost_usd is not None:
        yield f"  about ${made.cost_usd:.2f} at the list price"
    yield f"  {made.file}"


@operation("parity", "freehold.types.gates:ParityReport")
def parity(
    model: str | None = arg(),
    *,
    adapter: Path | None = opt(
        "Folder of an adapter that freehold train made.", exists=True, file_okay=False
    ),
    count: int = opt(
        "The most prompts to compare: as many are asked as show where turns end.", "--samples", 120, ge=1
    ),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Put the same prompts to the trainer's model and the served one.

    Without MODEL, what freehold migrate chose last; MODEL is a model, or a trained encoder by its name, id or folder.
    Of an encoder, answers and their probabilities are compared. Exit code 0: they agree, as far as the prompts could
    decide it. Exit code 1: they do not, and the likely cause is named.

    \b
    Example:
      freehold parity
      freehold parity HuggingFaceTB/SmolLM2-135M-Instruct --adapter .freehold/adapters/support --json
    """
    from freehold.workflows.prove.parity import project_parity

    report = project_parity(project, model=model, adapter=adapter, count=count, progress=bar)
    return Reply(report, _parity_view, 0 if report.passed else 1)


def _parity_view(report: ParityReport) -> Iterator[Block]:
    from freehold.workflows.prove.parity_judging import ENDS

    yield "model", report.model
    equal, agreement = f"{report.prompts_equal} of {report.prompts}", f"{report.token_agreement:.1%}"
    if report.probability_distance is not None:
        yield "messages", f"{equal} are cut into equal tokens"
        yield "answers", f"{agreement} of {report.tokens} values agree"
        yield "distance", f"{report.probability_distance:.4f} at most between the probabilities of an answer"
    else:
        yield "prompts", f"{equal} have equal token ids"
        yield "greedy", f"{agreement} of {report.tokens} tokens agree"
        yield "distance", "not told" if report.distance is None else f"{report.distance:.4f} nats"
        if report.base_distance is not None:
            yield "distance", f"{report.base_distance:.4f} nats from the base without the adapter"
        yield "ends", f"{report.stops_equal} of {report.stops} turns end in the same place"
        if report.undecided:
            yield (
                "ends",
                f"not decided: {ENDS.fewest} equal ends in a row decide it, more where some differ; give more held-out "
                "samples, or a higher limit of tokens",
            )
        score = report.score
        if score is not None and score.trained_mean is not None:
            yield (
                "task score",
                f"{score.served_mean:.1%} served, {score.trained_mean:.1%} trained, {score.n} prompts",
            )
            if score.ci_low is not None:
                yield (
                    "task score",
                    f"difference {score.difference:+.1%}, {100 * score.level:.3g}% interval {score.ci_low:+.1%} to "
                    f"{score.ci_high:+.1%} ({score.method})",
                )
    yield "PASSED" if report.passed else f"FAILED     {', '.join(report.causes)}"
    yield from (f"  {reason}" for reason in report.reasons)
