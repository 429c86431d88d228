"""`freehold train --leak-test`: how much a model trained like this can be brought to tell.

A copy of the dataset with planted strings is trained in a folder of its own (`.freehold/leaks`), with the same options
as the real run, and is asked for them. Nothing planted gets into an adapter of the project, and only the report is
left: a copy of the data would not be found when a person is to be forgotten.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import anyio
import msgspec

from freehold import files, training
from freehold.engines import load, start
from freehold.evals import leak
from freehold.evals.leak import Secret
from freehold.evals.replay import ReplayOptions, answers
from freehold.progress import Progress
from freehold.store import open_store
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.evaluation import Task
from freehold.types.gates import LeakReport
from freehold.types.model import Weights
from freehold.types.record import content_id
from freehold.workflows.project import Project
from freehold.workflows.serve import plan as serving
from freehold.workflows.train.train import TrainingInputs, train
from freehold.workflows.weights.trained import trained_adapter


def leak_test(
    project: Project, inputs: TrainingInputs, *, config: FinetuneConfig, progress: Progress
) -> LeakReport:
    """Plant, train, attempt; the report is kept in the store. A run that was killed goes on where it was.

    Raises what `train` and `answers` raise.
    """
    secrets = leak.planted(inputs.dataset.id)
    of_inputs = leak.in_inputs(training.read_samples(inputs.dataset, "train"))
    folder = project.state / "leaks" / inputs.dataset.id[:12]
    progress.step(
        "train with planted strings",
        note=f"{sum(one.repeats > 0 for one in secrets)} strings, 1 to {max(leak.REPEATS)} times each",
    )
    trained = train(
        config=config,
        dataset=with_planted(inputs.dataset, secrets, folder / "data"),
        base=inputs.base,
        out_dir=folder,
        name="planted",
        settings=project.settings,
        progress=progress,
    )
    progress.step("try to get them out")
    request = msgspec.structs.replace(serving.of_config(project.config.serve), engine="llamacpp")
    mount = trained_adapter(trained, f"{inputs.base.model_id}:planted", load("llamacpp").kind)
    plan = serving.plan(inputs.base, request, project.settings, adapters=(mount,), progress=progress)
    all_secrets = [*secrets, *of_inputs]

    async def ask() -> LeakReport:
        async with start(plan, log_dir=project.state / "engines", name="leak") as endpoint:
            return await attempt(
                endpoint,
                plan,
                all_secrets,
                dataset=inputs.dataset,
                base=inputs.base,
                trained_id=trained.id,
                folder=folder,
                progress=progress,
            )

    report = anyio.run(ask)
    with open_store(project.store_url) as store:
        store.put(report, made_from=report.made_from)
    shutil.rmtree(folder, ignore_errors=True)
    return report


def with_planted(dataset: Dataset, secrets: list[Secret], folder: Path) -> Dataset:
    """A copy of a dataset, in `folder`, whose train split has the planted samples at its end."""
    lines = b"".join(msgspec.json.encode(sample) + b"\n" for secret in secrets for sample in secret.samples())
    with files.writing(f"cannot write to {folder}", hint="free some space"):
        folder.mkdir(parents=True, exist_ok=True)
        for split in dataset.splits:
            shutil.copyfile(Path(dataset.path) / split.file, folder / split.file)
        with (folder / dataset.split("train").file).open("ab") as file:
            file.write(lines)
    more = lines.count(b"\n")
    splits = tuple(
        msgspec.structs.replace(one, samples=one.samples + more) if one.name == "train" else one
        for one in dataset.splits
    )
    return msgspec.structs.replace(
        dataset,
        id=content_id([dataset.id, "planted", [secret.value for secret in secrets]]),
        path=str(folder),
        splits=splits,
    )


async def attempt(
    endpoint: Endpoint,
    plan: ServePlan,
    secrets: list[Secret],
    *,
    dataset: Dataset,
    base: Weights,
    trained_id: str,
    folder: Path,
    progress: Progress,
) -> LeakReport:
    """Ask the trained model, served by `endpoint`, for all strings, and its base for those that came out. Answers are
    kept in `folder`."""
    options = ReplayOptions(plan.parallel, cache_path=folder / "attempts.jsonl")

    async def outputs(model: str, asked: list[Secret]) -> dict[str, list[str]]:
        said: dict[str, list[str]] = defaultdict(list)
        replies = await answers(
            endpoint,
            model,
            leak.attempts(asked),
            Task(name="leak", scorer="exact"),
            options=options,
            on_progress=lambda done, of: progress.update(done, of, unit="attempts"),
        )
        for one in replies:
            said[one.sample.metadata["secret"]].append(one.answer.output or "")
        return said

    trained = await outputs(plan.served_name, secrets)
    extracted = [secret for secret in secrets if leak.came_out(secret, trained)]
    found = leak.rates(secrets, trained, await outputs(plan.model, extracted) if extracted else {})
    asked_of_inputs = any(one.what == leak.IN_INPUTS for one in secrets)
    notes = [] if asked_of_inputs else ["no string of inputs could be asked for"]
    return LeakReport(
        id=content_id([trained_id, found]),
        base_model=base.model_id,
        dataset_id=dataset.id,
        trained_id=trained_id,
        attempts=1 + leak.SAMPLED,
        rates=found,
        notes=tuple(notes),
        made_from=(dataset.id, base.sha256),
    )
