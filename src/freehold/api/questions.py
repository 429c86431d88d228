"""Questions that need no project of their own: what code uses, what a log holds, what a model may, needs and costs."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

from freehold.api.loops import blocking, watched
from freehold.api.project import here
from freehold.api.values import Amount, FilePath, Use, paths
from freehold.types.progress import Progress

if TYPE_CHECKING:
    from freehold.types.cost import Cost
    from freehold.types.log_task import LogTasks
    from freehold.types.machine import Fit
    from freehold.types.planning.scan import Scan
    from freehold.types.ruling import Ruling


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


def license(
    model: str | None = None, *, use: Use = None, lineage: FilePath | None = None, declared: str | None = None
) -> Ruling:
    """May I use this model for this, and what must I do?

    `model` is an id, or `lineage` a file that says what a model is made of (a lineage, a manifest, a model card, a
    GGUF). `use` are keys of `[use]` (``{"mode": "hosted_service", "commercial": True}``); without it the project's
    count. `declared` is the licence of a model that the catalog does not know. What is not known is ``unclear``, never
    ``allowed``. Raises `UsageError`, `ConfigError` for a wrong key of `use`.
    """
    return here().license(model, use=use, lineage=lineage, declared=declared)


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
    train: Literal["lora", "qlora", "full"] | None = None,
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
    from freehold.workflows.fit.placing import form_of
    from freehold.workflows.fit.training import SampleLengths, training_fit

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


def cost(
    model: str | None = None,
    *,
    incumbent: str | None = None,
    machine: str | None = None,
    requests_per_month: Amount | None = None,
    prompt_tokens: Amount | None = None,
    completion_tokens: Amount | None = None,
    usd_per_hour: Amount | tuple[Amount, Amount] | None = None,
    incumbent_price: tuple[Amount, Amount] | None = None,
) -> Cost:
    """Leave or stay, as far as money goes?

    Tokens are those of one request; what is not stated comes from the project around the current folder and its
    traces. `usd_per_hour` is what the machine costs (or the lowest and the highest), `incumbent_price` dollars per
    million prompt and completion tokens. Raises `UsageError` for what is not known: it is asked for, never guessed.
    """
    return here().cost(
        model,
        incumbent=incumbent,
        machine=machine,
        requests_per_month=requests_per_month,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        usd_per_hour=usd_per_hour,
        incumbent_price=incumbent_price,
    )
