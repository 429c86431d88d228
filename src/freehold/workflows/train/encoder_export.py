"""`freehold encoders export`: a trained encoder for any program, with an example of a few lines and its model card."""

from __future__ import annotations

import shutil
from pathlib import Path

from freehold import __version__
from freehold.encoders.folder import EXTERNAL_DATA, MANIFEST, names_of, read_heads, read_manifest
from freehold.late import np
from freehold.report.model_card import EncoderCardFacts, encoder_card
from freehold.types.encoder import EncoderModel
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.workflows.data.curate import data_in_short
from freehold.workflows.project import Project
from freehold.workflows.train.encoder_example import example, libraries
from freehold.workflows.train.export_folder import README, Files, bytes_of, export_folder, hashes_of
from freehold.workflows.train.export_kinds import copy_licenses
from freehold.workflows.train.export_records import candidate_of, dataset_of, rulings_of, stored_base

ASK = "ask.py"
PLAIN_HEADS = "heads.npz"
USAGE = f'python {ASK} "your text"'


class EncoderExport(Record, frozen=True, kw_only=True):
    """What was written."""

    encoder_id: str
    path: str
    files: Files
    bytes: int
    usage: str


def export_encoder(
    project: Project, encoder: EncoderModel, *, out: Path | None = None, progress: Progress
) -> EncoderExport:
    """Write an encoder into a folder of its own that answers without freehold and without PyTorch.

    The folder is made next to its final place and moved there in one step; one that exists is replaced only when an
    export made it. freehold serves it, too. Raises `UsageError`, `StorageError`, and what reading its files raises.
    """
    source = Path(encoder.path)
    manifest = read_manifest(source)
    heads = read_heads(source, manifest)
    target = out or project.root / "exports" / f"{encoder.name}-{encoder.id[:8]}-encoder"
    with export_folder(target) as partial:
        progress.step(f"export {encoder.name}")
        for name in (MANIFEST, *names_of(manifest), EXTERNAL_DATA):
            if (source / name).is_file():
                shutil.copyfile(source / name, partial / name)
        plain = {}
        for number, head in enumerate(heads):
            plain[f"{number}.weight"] = head.weight / np.float32(head.field.temperature)
            plain[f"{number}.bias"] = head.bias / np.float32(head.field.temperature)
        np.savez(partial / PLAIN_HEADS, allow_pickle=False, **plain)
        (partial / ASK).write_text(example(manifest), encoding="utf-8")
        licenses = copy_licenses(stored_base(project, encoder.base_model), partial)
        files = hashes_of(partial)
        card = encoder_card(_facts(project, encoder, files, progress, licenses))
        (partial / README).write_text(card, encoding="utf-8")
    return EncoderExport(
        encoder_id=encoder.id,
        path=str(target),
        files=files,
        bytes=bytes_of(target),
        usage=USAGE,
    )


def _facts(
    project: Project, encoder: EncoderModel, files: Files, progress: Progress, licenses: list[str]
) -> EncoderCardFacts:
    dataset = dataset_of(project, encoder.dataset_id)
    candidate = candidate_of(project, encoder.id)
    own, passing_on = rulings_of(project, encoder.base_model, dataset, progress)
    incumbent = project.config.incumbent
    return EncoderCardFacts(
        encoder=encoder,
        files=files,
        usage=USAGE,
        libraries=libraries(encoder.manifest),
        app=project.config.app.name,
        version=__version__,
        dataset=dataset,
        data=data_in_short(dataset),
        ruling=candidate.ruling if candidate is not None and candidate.ruling is not None else own,
        passing_on=passing_on,
        candidate=candidate,
        incumbent=incumbent.model if incumbent is not None else None,
        license_files=tuple(licenses),
    )
