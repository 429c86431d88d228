"""What was harvested of the incumbent, put into datasets: its answers with their log-probabilities, for distillation.

Only where a candidate's method is ``distill``: other methods learn what is right, and their datasets stay as they are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from freehold.errors import StorageError
from freehold.types.dataset import Sample
from freehold.types.harvest import HarvestedAnswer
from freehold.workflows.project import Project


def harvest_folder(project: Project) -> Path:
    """Where what was harvested of the incumbent is."""
    return project.state / "harvest"


def harvested_answers(project: Project) -> dict[str, HarvestedAnswer]:
    """The harvested answers by sample id; empty where nothing was harvested. Raises `StorageError`."""
    path = harvest_folder(project) / "answers.jsonl"
    if not path.exists():
        return {}
    try:
        lines = path.read_bytes().splitlines()
        read = [msgspec.json.decode(line, type=HarvestedAnswer) for line in lines]
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StorageError(
            f"{path}: cannot be read: {error}",
            hint="freehold rescue --harvest writes it again, from what was paid",
        ) from None
    return {one.sample_id: one for one in read}


def to_teach(project: Project) -> dict[str, HarvestedAnswer]:
    """The harvested answers that a dataset of this project takes in. Raises `StorageError`."""
    return harvested_answers(project) if project.config.trains_by("distill") else {}


def taught_digest(project: Project) -> str | None:
    """Changes when a dataset would take in other answers; None where it takes in none."""
    path = harvest_folder(project) / "answers.jsonl"
    if not project.config.trains_by("distill") or not path.exists():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_harvested(sample: Sample, found: HarvestedAnswer | None) -> Sample:
    """The sample with the incumbent's answer where it has none, and with what the incumbent thought of that answer.

    A recorded answer that is another one stays: the log-probabilities are not its own.
    """
    if found is None or sample.incumbent not in (None, found.answer):
        return sample
    teacher = sample.teacher if sample.teacher is not None else found.teacher
    return msgspec.structs.replace(sample, incumbent=found.answer, teacher=teacher)
