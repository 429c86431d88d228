"""A project with all that its screens show: data, runs, an evaluation item by item, a report, a mixture."""

import random
from datetime import UTC, datetime

import msgspec
from tests.report import choosing, sample_mixture
from tests.workflows.data.building import project_of, trace
from tests.workflows.train.owned import manifest

from freehold import training
from freehold.evals.comparing import SideBySide, compare, disagreements, summarize
from freehold.stats.compare import ScoreContext
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import Evaluation, ItemLook
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.types.training import TrainingEvent
from freehold.workflows.data import dataset as datasets
from freehold.workflows.prove.results import evaluation_id, keep, measured, write_results

AT, NOW = datetime(2026, 11, 29, 12, tzinfo=UTC), datetime(2026, 11, 29, tzinfo=UTC)
HOSTILE = (
    '<img src=x onerror="document.title=1">\u202e[click](javascript:alert(1)) \x1b[31m' + "z\u0301\u0302" * 50
)
INTENTS = ["refund", "delivery", "invoice", "return", "other"]
TOML = """
[app]
name = "helpdesk"
[incumbent]
model = "gpt-4o-2024-08-06"
[task]
scorer = "label"
[task.options]
labels = ["refund", "delivery", "invoice", "return", "other"]
[curate]
personal_data = "patterns"
[data]
held_out = 0.2
validation = 0.1
"""
ASKED = {
    "refund": "I want my money back for order {n}, the lamp came broken",
    "delivery": "Where is parcel {n}? It should have come on day {m}",
    "invoice": "Please send the bill of purchase {n} again, with tax number {m}",
    "return": "How do I send back the chair of order {n} within {m} days",
    "other": "Do you sell gift card number {n} in your shop of street {m}",
}


TASK = Task(name="helpdesk", scorer="label", margin=0.03, slices=("language",))


def results(count=400, *, losses=0.08, seed=0, hostile=False):
    """Both models' answers to `count` items: the candidate loses and wins some, most of them in German."""
    draw = random.Random(seed)
    samples, one, other, references = [], [], [], []
    for number in range(count):
        intent = INTENTS[number % 5]
        language = "de" if number % 4 == 0 else "en"
        text = ASKED[intent].format(n=1000 + number, m=number % 28 + 1)
        if hostile and number == 0:
            text = HOSTILE
        sample = Sample(
            id=f"{number:032x}",
            messages=(Message(role="user", content=text),),
            gold=intent,
            incumbent=intent,
            metadata={"language": language},
        )
        wrong = draw.random() < losses * (3 if language == "de" else 1) or (hostile and number == 0)
        ours = draw.choice([name for name in INTENTS if name != intent]) if wrong else intent
        if hostile and number == 0:
            ours = HOSTILE
        theirs = intent if draw.random() < 0.96 else draw.choice(INTENTS)
        samples.append(sample)
        references.append(intent)
        one.append(_scored(sample.id, "gpt-4o-2024-08-06", theirs, intent))
        other.append(_scored(sample.id, "org/chosen", ours, intent))
    return SideBySide(samples, references, one, other, "gpt-4o-2024-08-06", "org/chosen")


def _scored(sample_id, model, said, right):
    known = said in INTENTS
    score = Score(
        value=float(said == right), reason=None if known else "no_label: none of the labels", format_ok=known
    )
    return EvalResult(sample_id=sample_id, model=model, output=said, score=score, total_ms=120.0)


def evaluated(project, store, found, *, dataset_id="d" * 32, task=TASK, at=AT):
    """Keep an evaluation of these results, as `freehold evaluate` does."""
    id = evaluation_id(dataset_id, task, found)
    comparison = compare(found, task, made_from=(dataset_id,), context=ScoreContext(self_noise=0.04))
    differing = disagreements(found.samples, found.incumbent, found.candidate, found.references)
    made = Evaluation(
        id=id, task=task, dataset_id=dataset_id, incumbent=found.incumbent_name,
        candidate=found.candidate_name, endpoint="http://127.0.0.1:8420", comparison=comparison,
        measured=measured(found.candidate, task.alpha), references="gold",
        latency=summarize(found.candidate, concurrency=4), disagreements=differing[:50],
        disagreements_total=len(differing),
        results_file=str(write_results(project.state / "evaluations" / f"{id}.jsonl", found)),
    )  # fmt: skip
    keep(store, made)
    store.put(
        ItemLook(
            id=id,
            at=at,
            dataset_id=dataset_id,
            incumbent=made.incumbent,
            candidate=made.candidate,
            alpha=0.025,
        )
    )
    return made


def fill(project):
    """Traffic and a dataset of it."""
    with open_store(project.store_url) as store:
        store.add_traces(
            trace(
                number,
                ASKED[INTENTS[number % 5]].format(n=number * 7919, m=chr(97 + number % 26) * 5),
                gold=INTENTS[(number + (number in (7, 23))) % 5],
                incumbent=INTENTS[number % 5],
            )
            for number in range(300)
        )
    return datasets.build(project)


def with_data(project):
    """A dataset, an adapter that learned from it, and another run that broke off or goes on."""
    dataset = fill(project)
    samples = list(training.read_samples(dataset, "train"))
    folder = project.state / "adapters" / "helpdesk-1"
    adapter = manifest(folder, name="helpdesk", dataset_id=dataset.id)
    events(folder, 60, ends=True)
    (project.state / "adapters" / "helpdesk-2").mkdir()
    events(project.state / "adapters" / "helpdesk-2", 23)
    with open_store(project.store_url) as store:
        store.put(adapter, made_from=adapter.made_from)
    return dataset, adapter, samples


def events(folder, count, *, of=60, ends=False):
    """A run's events: losses that fall, a validation score that rises, memory that grows."""
    told = [TrainingEvent(kind="start", steps=of, message="lora, r 16")]
    for step in range(1, count + 1):
        told.append(
            TrainingEvent(
                kind="step", step=step, steps=of, epoch=step / 20, loss=2.2 * 0.94**step + 0.05,
                learning_rate=2e-4 * (1 - step / (of + 1)), tokens_per_second=800.0 + step, seconds=step * 1.5,
                seconds_left=(of - step) * 1.5, peak_memory_bytes=2**30 + step * 2**20,
            )
        )  # fmt: skip
        if step % 20 == 0:
            told.append(
                TrainingEvent(
                    kind="eval", step=step, steps=of, loss=1.9 * 0.95**step, score=min(0.95, 0.4 + step / 100),
                    message="validation",
                )
            )  # fmt: skip
    if ends:
        told.append(TrainingEvent(kind="end", step=count, steps=of))
    (folder / "run").mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(one).decode() for one in told]
    (folder / "run" / "events.jsonl").write_text("\n".join(lines) + "\n")


def with_proof(project, *, count=400, hostile=True):
    """An evaluation of many items, the report of a migration that rests on it, and a mixture."""
    with open_store(project.store_url) as store:
        made = evaluated(project, store, results(count, hostile=hostile))
        report = choosing.report()
        chosen = msgspec.structs.replace(report.candidates[1], comparison=made.comparison)
        report = msgspec.structs.replace(
            report, candidates=(report.candidates[0], chosen, *report.candidates[2:]), app="helpdesk"
        )
        store.put(report)
        store.put(sample_mixture.mixture())
        verdict = msgspec.structs.replace(chosen.verdict, made_from=(made.comparison.id,))
        store.put(verdict)
    return made


def whole(folder):
    """The project with everything."""
    (folder / "freehold.toml").write_text(TOML)
    project = project_of(folder, TOML)
    with_data(project)
    return project, with_proof(project)


def looking(screen, query):
    """What a screen shows of a project: a function of the project and the parameters."""

    def look(project, **given):
        with open_store(project.store_url) as store:
            return screen(project, store, query(**given), at=NOW)

    return look
