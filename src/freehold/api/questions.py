"""Questions that need no project of their own: what code uses, what a log holds, what a model may, needs and costs; and
is the candidate good enough? Plans, and verdicts from scores or from two files of answers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, cast

from freehold.api.calling import FilePath, blocking, paths, watched
from freehold.api.project import FreeholdProject, here
from freehold.errors import UsageError
from freehold.progress import Progress

if TYPE_CHECKING:
    from freehold.types.application import LogTasks, Scan
    from freehold.types.evaluation import PairedResult, PowerPlan
    from freehold.types.machine import Fit


P = ParamSpec("P")
T = TypeVar("T")


def _of_project(name: str, method: Callable[Concatenate[FreeholdProject, P], T]) -> Callable[P, T]:
    """A method of the project around the current folder, as a function."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return method(here(), *args, **kwargs)

    signature = inspect.signature(method)
    own = [one for one in signature.parameters.values() if one.name != "self"]
    call.__dict__["__signature__"] = signature.replace(parameters=own)
    call.__name__ = call.__qualname__ = name
    call.__module__ = __name__
    return call


license = _of_project("license", FreeholdProject.license)
cost = _of_project("cost", FreeholdProject.cost)
evaluate = _of_project("evaluate", FreeholdProject.evaluate_files)


@blocking
def scan(*paths_: FilePath, as_of: date | None = None, progress: Progress | None = None) -> Scan:
    """Where does code use rented models, and until when?

    Reads source, notebooks and configuration under the given files and folders (default: the current folder). Dates are
    counted from `as_of` (default: today). Nothing leaves this machine. Raises `InputError` where nothing is there.
    """
    from freehold.workflows.incumbent.scan import scan as work

    return work(paths(paths_) or paths((".",)), as_of=as_of, progress=watched(progress))


@blocking
def tasks(
    *files: FilePath,
    format: str | None = None,
    input: str | None = None,
    label: str | None = None,
    progress: Progress | None = None,
) -> LogTasks:
    """Which tasks are in log files, and which one to move first?

    `format` is told from the content unless it is named; `input` and `label` are the columns of tables. Nothing is
    stored. Raises `InputError` for a file that cannot be read.
    """
    from freehold.types.config import DataConfig
    from freehold.workflows.journey.log_tasks import tasks_of_files

    data = DataConfig(format=format or "auto", input=input, label=label)
    return tasks_of_files(paths(files), data=data, progress=watched(progress))


@blocking
def fit(
    model: str,
    *,
    context_tokens: int | None = None,
    concurrency: int = 1,
    machine: str | None = None,
    quantization: str | None = None,
    kv_type: str = "f16",
    engine: Literal["llamacpp", "vllm"] | None = None,
    train: Literal["lora", "qlora"] | None = None,
) -> Fit:
    """Does a model fit a machine, part by part?

    `model` is a catalog id or a path; `machine` words like ``"2x L4"`` or a file
    (default: this one). `context_tokens` is 4096 unless said; engine and quantization are those that `assess` takes.
    With `train` the memory of a training run is counted.
    Raises `UnknownModelError`, `InputError`.
    """
    from freehold.settings import load
    from freehold.types.config import FinetuneConfig
    from freehold.types.machine import Workload
    from freehold.workflows.fit.fit import ServingOptions, fit_model
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.fit.placing import SampleLengths, form_of, training_fit

    settings = load()
    found = find_machine(machine, settings, measure=train is None)
    if train is not None:
        config = FinetuneConfig(method=train)
        return training_fit(
            model, config=config, lengths=SampleLengths(context_tokens), settings=settings, machine=found
        )
    tokens = 4096 if context_tokens is None else context_tokens
    workload = Workload(context_tokens=tokens, concurrency=concurrency)
    form = form_of(model, workload, found, settings, (engine, quantization))
    return fit_model(
        model,
        workload=workload,
        settings=settings,
        machine=found,
        options=ServingOptions(form.quantization, kv_type, form.engine),
    )


Pair = tuple[float | bool | None, float | bool | None]
"""The incumbent's score of an item and the candidate's; None where one could not be scored."""


def power(
    margin: float,
    *,
    alpha: float = 0.025,
    power: float = 0.8,
    n: int | None = None,
    discordance: float | None = None,
    incumbent_rate: float | None = None,
    cluster_size: float = 1.0,
    icc: float = 0.0,
) -> PowerPlan:
    """How many items are needed to promote, or what `n` of them can show?

    `margin` is the largest drop you accept (0.02: two points), `alpha` one-sided. `discordance` is the share of items
    on which the two models differ; without it several are planned with. `icc` is the correlation within clusters of
    `cluster_size` items. Raises `UsageError` for impossible assumptions.
    """
    from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan

    if isinstance(cast("object", margin), str):
        raise UsageError(
            f"margin is {margin!r}, expected a number between 0 and 1", hint="0.02 is two points"
        )

    assumed = PowerAssumptions(
        discordance=discordance, incumbent_rate=incumbent_rate, cluster_size=cluster_size, icc=icc
    )
    return plan(PowerTarget(margin, alpha, power), assumed, n=n)


def _beside(incumbent: Iterable[Any], candidate: Iterable[Any]) -> Iterable[Pair]:
    """Two columns as pairs; an array's or a frame's numbers as Python's own, a missing one as None."""
    columns = [list(one.tolist() if hasattr(one, "tolist") else one) for one in (incumbent, candidate)]
    if len(columns[0]) != len(columns[1]):
        raise UsageError(f"{len(columns[0]):,} scores of the incumbent, {len(columns[1]):,} of the candidate")
    return zip(*([None if one != one else one for one in column] for column in columns), strict=True)


def compare(
    pairs: FilePath | Iterable[Pair] | Iterable[float],
    candidate: Iterable[float] | None = None,
    *,
    margin: float,
    alpha: float = 0.025,
    clusters: Sequence[str | None] | None = None,
    slices: Sequence[str] | Mapping[str, Sequence[str | None]] = (),
    bounds: tuple[float, float] = (0.0, 1.0),
    looks: int = 1,
) -> PairedResult:
    """Is the candidate good enough? A verdict from bare pairs of scores, with no model at all.

    `pairs` are (incumbent, candidate) scores of the same items, the incumbent's alone with `candidate` next to them
    (lists, arrays, columns), or a file of JSON lines ``{"id", "a", "b", "cluster"?}``. `clusters` names each item's
    independent unit (a conversation, a user). `slices` are declared parts: names of the file's fields, or a value for
    each item by name. `looks` says how often these items
    were compared, this time included. Raises `UsageError`, `InputError`.
    """
    from freehold.stats.compare import ScoreContext
    from freehold.stats.rules import DecisionRule
    from freehold.workflows.prove.compare import compare_file, compare_values

    rule = DecisionRule(margin=margin, alpha=alpha, lo=bounds[0], hi=bounds[1])
    context = ScoreContext(looks=looks)
    if isinstance(pairs, str | PathLike):
        if clusters is not None or isinstance(slices, Mapping):
            raise UsageError(
                "a file names clusters and slices itself", hint="give names of its fields as slices"
            )
        return compare_file(Path(pairs), rule, slices=slices, context=context)
    if not isinstance(slices, Mapping) and slices:
        raise UsageError("values are sliced by values", hint='slices={"language": ["de", "en", …]}')
    scores: list[Any] = list(pairs if candidate is None else _beside(pairs, candidate))
    if any(not isinstance(one, Sequence) or isinstance(one, str) or len(one) != 2 for one in scores):
        raise UsageError("pairs are (incumbent, candidate) scores, two for each item")
    if text := next((one for pair in scores for one in pair if isinstance(one, str)), None):
        raise UsageError(
            f"{text!r} is text, and scores are numbers",
            hint="of answers: freehold.evaluate(old, new, gold=…)",
        )
    return compare_values(
        [old for old, _ in scores],
        [new for _, new in scores],
        rule,
        clusters=clusters,
        slices=slices if isinstance(slices, Mapping) else None,
        context=context,
    )
