"""Parity of an encoder that is here already: the chosen one, or one by its name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold.errors import WeightsError
from freehold.training.encoder import read_record
from freehold.types.encoder import EncoderModel
from freehold.types.endpoint import ServePlan
from freehold.types.parity import ParityReport
from freehold.types.progress import Progress
from freehold.workflows.project import Project
from freehold.workflows.prove.encoder_parity.check import encoder_parity
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.weights.encoders import encoder_folder, find_encoder, matching


def encoder_meant(project: Project, model: str | None, chosen: ServePlan | None) -> EncoderModel | None:
    """The encoder that a name means, or without one the chosen plan; None where that is another model.

    Raises `WeightsError` for a folder that is gone or has no record of its making, `UsageError` for a name of several.
    """
    if model is None:
        folder = None if chosen is None or chosen.engine != "encoder" else Path(chosen.weights_path or "")
    else:
        folder = encoder_folder(model)
    if folder is not None:
        if (record := read_record(folder)) is None:
            raise WeightsError(
                f"{folder} holds no encoder with the record of its making",
                hint="freehold migrate makes it again",
            )
        return record
    return find_encoder(project, model) if model is not None and matching(project, model) else None


def parity_of(
    project: Project, encoder: EncoderModel, *, plan: ServePlan | None, most: int, progress: Progress
) -> ParityReport:
    """`encoder_parity` as `plan` would serve it, else as `freehold serve` would."""
    serve = project.config.serve
    plan = plan or plan_encoder(
        Path(encoder.path),
        encoder.name,
        project.settings,
        context_tokens=serve.context_tokens,
        parallel=serve.parallel,
    )
    plan = msgspec.structs.replace(plan, port=0)
    return encoder_parity(project, plan=plan, encoder=encoder, progress=progress, most=most)
