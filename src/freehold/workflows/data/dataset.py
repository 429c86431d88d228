"""`freehold dataset`: traces in the store become an immutable dataset."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import __version__, files
from freehold.datasets import building
from freehold.datasets.near import KnownQuestions
from freehold.datasets.sampling import Recipe, answer_of, sample_of, with_id
from freehold.datasets.tasks import is_selected
from freehold.errors import InputError, UsageError
from freehold.progress import Progress, Silent
from freehold.store import Store, open_store
from freehold.types.dataset import DataCard, Dataset, Sample, SplitName
from freehold.types.engine import ENGINE_KINDS
from freehold.types.identity import question_id
from freehold.types.record import content_id
from freehold.types.trace import Trace
from freehold.workflows.data.curate import Curator, pseudonym_key, recipe_of, write_card
from freehold.workflows.data.imports import file_traces, named_files
from freehold.workflows.project import Project

log = logging.getLogger(__name__)

_SHOWN_DATASETS = 8


class BuiltDataset(NamedTuple):
    """A dataset and its card."""

    dataset: Dataset
    card: DataCard


def build(project: Project, *, source_prefix: str | None = None, progress: Progress | None = None) -> Dataset:
    """Build a dataset from all complete traces (or those whose source starts with `source_prefix`).

    The same traces and the same recipe give the same dataset id and leave the folder untouched.
    Raises `UsageError` when there are no traces or a split would be empty.
    """
    root = project.state / "datasets"
    with open_store(project.store_url) as store:
        traces = store.traces(source_prefix=source_prefix)
        count = _answered(project, store, source_prefix)
        built = write_dataset(
            project, traces, recipe_of(project, traces=count), root, progress or Silent(), count=count
        )
        store.put(built.dataset, made_from=built.dataset.made_from)
    return built.dataset


def check(
    project: Project, *, source_prefix: str | None = None, progress: Progress | None = None
) -> DataCard:
    """What a build would find and do, without keeping anything.

    Before anything was imported the files that `[data]` names are looked at. Raises what `build` raises, and
    `InputError` for such a file.
    """
    progress = progress or Silent()
    with (
        tempfile.TemporaryDirectory(prefix="freehold-check-") as folder,
        open_store(project.store_url) as store,
    ):
        traces = store.traces(source_prefix=source_prefix)
        count = _answered(project, store, source_prefix)
        files = named_files(project)
        if files and source_prefix is None and store.count_traces(complete_only=False) == 0:
            progress.say("nothing is imported yet: checked are the files that [data] names")
            traces = file_traces(project, files)
            if project.config.chooses and project.config.data.validation is None:
                count = sum(1 for _ in file_traces(project, files))
        recipe = recipe_of(project, traces=count)
        card = write_dataset(project, traces, recipe, Path(folder), progress, count=count).card
    return msgspec.structs.replace(card, dataset_id="")


def write_dataset(
    project: Project,
    traces: Iterable[Trace],
    recipe: Recipe,
    root: Path,
    progress: Progress,
    *,
    count: int | None = None,
) -> BuiltDataset:
    """Write the dataset of those of these traces that teach this project's task; `count` is how many there are, where
    that is known. Raises `UsageError` when none teaches or a split would be empty."""
    progress.step("dataset")
    curator = Curator(recipe, project.config.task, pseudonym_key(project))
    ids: list[bytes] = []
    first_model = ""
    others = 0

    def teaching() -> Iterator[Trace]:
        nonlocal first_model, others
        for trace in traces:
            if teaches(trace):
                if not is_selected(trace, project.config.data):
                    others += 1
                    continue
                ids.append(hashlib.blake2b(trace.id.encode(), digest_size=16).digest())
                first_model = first_model or trace.model
                if len(ids) % 1000 == 0:
                    progress.update(len(ids), None, unit="traces")
                yield trace

    changed = 0

    def change(sample: Sample, split: SplitName) -> Sample:
        nonlocal changed
        changed += 1
        if changed % 1000 == 0:
            progress.update(changed, len(ids), unit="samples", note="curated")
        return curator.change(sample, split)

    made = building.make_samples(curator.counted(teaching()), recipe, change=change)
    if others and not ids:
        raise UsageError(
            f"none of {others:,} complete traces is of this project's task",
            hint="[[data.match]] selects its requests; freehold tasks shows which there are",
        )
    if not ids:
        raise UsageError(
            "no complete traces in the store",
            hint="freehold import FILE brings some in; freehold up captures them from live traffic",
        )
    if others:
        progress.say(f"{others:,} traces are of other tasks ([[data.match]])")
    progress.update(len(ids), None, unit="traces", note="writing")
    building.require(made, ("held_out",) if _teaches_nothing(project) else ("train", "held_out"))
    dataset = building.write(
        made,
        recipe,
        name=project.config.app.name,
        root=root,
        made_from=(f"traces:{content_id(b''.join(sorted(ids)))}",),
        version=__version__,
        incumbent_model=_incumbent_model(project, first_model),
    )
    log.info("dataset %s from %d traces in %s", dataset.id, len(ids), dataset.path)
    card = curator.card(project, dataset, made)
    write_card(Path(dataset.path), card)
    return BuiltDataset(dataset, card)


def _answered(project: Project, store: Store, source_prefix: str | None) -> int:
    """Complete traces, of which a project that keeps rows without an answer counts those that have one: by them is
    decided how many are put aside to choose by."""
    if not project.config.data.unlabelled:
        return store.count_traces(source_prefix=source_prefix)
    traces = store.traces(source_prefix=source_prefix)
    return sum(1 for one in traces if one.gold is not None or one.response is not None)


def _teaches_nothing(project: Project) -> bool:
    """Whether the project's candidates are judged as they are, so that there is nothing to train on."""
    config = project.config
    if config.candidates is not None:
        methods = [one.method or ("as_is" if one.endpoint is not None else None) for one in config.candidates]
        if all(method in ("as_is", "prompt") for method in methods):
            return True
    engine = config.serve.engine
    return engine != "auto" and ENGINE_KINDS[engine].brings_weights


def _incumbent_model(project: Project, traced: str) -> str | None:
    return project.config.incumbent.model if project.config.incumbent else traced or None


def known_datasets(known: Sequence[Dataset]) -> str:
    """The newest datasets by name and id, or how to make one."""
    if not known:
        return "freehold dataset build makes one"
    return "known: " + ", ".join(f"{one.name} {one.id[:12]}" for one in known[: -_SHOWN_DATASETS - 1 : -1])


def find_dataset(store: Store, wanted: str | None = None) -> Dataset:
    """The dataset with this id, beginning of an id, name or folder; the one built last without one.

    Of several that share a name the newest is meant. Raises `UsageError` when there is none, or when several ids
    begin so.
    """
    if wanted is None:
        if (latest := store.latest(Dataset)) is None:
            raise UsageError("no dataset yet", hint="freehold dataset build makes one from the traces")
        return latest
    folder = Path(wanted)
    if (folder / "manifest.json").is_file():
        return msgspec.structs.replace(building.load(folder), path=str(folder.resolve()))
    known = list(store.records(Dataset))
    matches = [one for one in known if one.name == wanted][-1:] or [
        one for one in known if one.id.startswith(wanted)
    ]
    if len(matches) == 1:
        return matches[0]
    raise UsageError(
        f"{len(matches)} datasets have an id starting with {wanted}"
        if matches
        else f"no dataset has an id starting with {wanted}, and none has that name or folder",
        hint=known_datasets(known),
    )


def teaches(trace: Trace) -> bool:
    """Is the answer the incumbent's (or was it corrected), and no error? Mirrored requests repeat another's."""
    return (
        trace.kind == "chat"
        and trace.parent_id is None
        and trace.status < 400
        and (trace.arm == "incumbent" or trace.gold is not None)
    )


PAGE_SAMPLES = 20


class SamplePage(NamedTuple):
    """Samples of a split, of `total`; the next page begins at the byte `next_after`, None at the end."""

    samples: tuple[Sample, ...]
    total: int
    next_after: int | None


def sample_page(
    dataset: Dataset, split: SplitName, after: int = 0, *, most: int = PAGE_SAMPLES
) -> SamplePage:
    """The samples whose lines begin at the byte `after` of the split's file.

    Raises `InputError` for a file that is gone, and a place where no sample begins.
    """
    known = next((one for one in dataset.splits if one.name == split), None)
    if known is None:
        return SamplePage((), 0, None)
    path = Path(dataset.path) / known.file
    decoder = msgspec.json.Decoder(Sample)
    found: list[Sample] = []
    with files.reading(path, hint="freehold dataset build"), path.open("rb") as file:
        if after:
            file.seek(after - 1)
            if file.read(1) != b"\n":
                raise InputError(f"no sample begins at {after}", path=str(path), hint="open the screen again")
        while len(found) < most and (line := file.readline()):
            try:
                found.append(decoder.decode(line))
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise InputError(f"not a sample: {error}", path=str(path)) from None
        place = file.tell()
        more = bool(file.read(1))
    return SamplePage(tuple(found), known.samples, place if more else None)


# Messages of a project's traffic that have no answer, as texts that a candidate may learn from. Redacted as samples
# are. What is held out or chosen by, and what is nearly the same, is left out: a candidate that had read it would be
# judged on what it knows.

MOST = 20_000
"""Messages at most, the newest first: more bring little, and each is read at every pass."""


class UnlabelledTraffic(NamedTuple):
    """Messages without an answer, the newest first, and how many were left out, by reason."""

    samples: list[Sample]
    left_out: dict[str, int]


def unanswered(store: Store, most: int) -> list[Trace]:
    """The newest chat requests to the incumbent that got no answer, and imported rows without one; newest first."""
    found: deque[Trace] = deque(maxlen=most)
    for one in store.traces(complete_only=False, own_only=True):
        asked = one.kind == "chat" and one.arm == "incumbent" and one.gold is None
        if asked and (one.completeness != "complete" or answer_of(one) is None):
            found.append(one)
    return list(reversed(found))


def unlabelled_traffic(project: Project, store: Store, dataset: Dataset) -> UnlabelledTraffic:
    """Messages of this project's task without an answer. Raises `StorageError` for a dataset that was changed."""
    recipe = msgspec.convert(dataset.recipe, Recipe)
    curator = Curator(recipe, project.config.task, pseudonym_key(project))
    known = {name: list(building.samples(dataset, name)) for name in ("train", "validation", "held_out")}
    taught = {question_id(one.messages) for one in known["train"]}
    left_out: Counter[str] = Counter()
    found: dict[str, Sample] = {}
    for trace in unanswered(store, MOST):
        if not is_selected(trace, project.config.data):
            left_out["of other tasks"] += 1
            continue
        try:
            sample = with_id(curator.change(sample_of(trace, recipe), "train"))
        except msgspec.ValidationError:
            left_out["not as the chat API spells them"] += 1
            continue
        asked = question_id(sample.messages)
        if asked in taught:
            left_out["answered elsewhere"] += 1
        elif asked in found:
            left_out["the same again"] += 1
        else:
            found[asked] = sample
    kept = list(found.values())
    judged = KnownQuestions([*known["validation"], *known["held_out"]], recipe.near_duplicates)
    repeated = judged.repeated_by(kept)
    if repeated.any():
        left_out["nearly the same as what is held out or chosen by"] += int(repeated.sum())
    kept = [one for one, again in zip(kept, repeated, strict=True) if not again]
    return UnlabelledTraffic(kept, dict(left_out))
