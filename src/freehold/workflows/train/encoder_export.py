"""`freehold models export`: a trained encoder for any program, with the code that answers and its model card, in a
folder that sentence-transformers and transformers open, to be tuned on."""

from __future__ import annotations

import shutil
import zipapp
from pathlib import Path

import freehold
from freehold.encoders.folder import EXTERNAL_DATA, MANIFEST, names_of, read_heads, read_manifest
from freehold.encoders.runner import LIBRARIES
from freehold.errors import FreeholdError, WeightsError
from freehold.files import write_json
from freehold.progress import Progress
from freehold.report.model_card import EncoderCardFacts, encoder_card
from freehold.training.encoder.job import TUNED
from freehold.types.encoder import EncoderManifest, EncoderModel
from freehold.types.model import Weights
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.train.export_kinds import copy_licenses
from freehold.workflows.train.exported import (
    README,
    Files,
    bytes_of,
    export_folder,
    facts_of,
    hashes_of,
)
from freehold.workflows.weights.pull import ensure_weights

PROGRAM = "student.pyz"
CODE = ("__init__.py", "errors.py", "files.py", "late.py", "types/*.py", "encoders/*.py")
"""Of freehold, what an encoder answers by: the program is made of it, so that it answers as the server does."""


def usage_of(manifest: EncoderManifest) -> str:
    """How the program is called: with a text for each view, or two to compare."""
    words = {"last": "your text", "assistant": "the turn before", "earlier": "earlier messages"}
    texts = ("a text", "another text") if manifest.marks else [words[view] for view in manifest.views]
    return f"python {PROGRAM} " + " ".join(f'"{text}"' for text in texts)


class EncoderExport(Record, frozen=True, kw_only=True):
    """What was written."""

    encoder_id: str
    path: str
    files: Files
    bytes: int
    usage: str
    notes: tuple[str, ...] = ()


def export_encoder(
    project: Project, encoder: EncoderModel, *, out: Path | None = None, progress: Progress
) -> EncoderExport:
    """Write an encoder into a folder of its own that answers without freehold and without PyTorch, and that
    sentence-transformers opens where the base's weights can be had.

    The folder is made next to its final place and moved there in one step; one that exists is replaced only when an
    export made it. freehold serves it, too. Raises `UsageError`, `StorageError`, and what reading its files raises.
    """
    source = Path(encoder.path)
    manifest = read_manifest(source)
    read_heads(source, manifest)  # a damaged one is not passed on
    usage = usage_of(manifest)
    target = out or project.root / "exports" / f"{encoder.name}-{encoder.id[:8]}-encoder"
    with export_folder(target) as partial:
        progress.step(f"export {encoder.name}")
        program = partial / "program"
        for file in (one for names in CODE for one in _CODE_ROOT.glob(names)):
            place = program / "freehold" / file.relative_to(_CODE_ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        for name in (MANIFEST, *names_of(manifest), EXTERNAL_DATA):
            if (source / name).is_file():
                shutil.copyfile(source / name, (program if manifest.runs_on == "words" else partial) / name)
        zipapp.create_archive(program, partial / PROGRAM, main="freehold.encoders.ask:main", compressed=True)
        shutil.rmtree(program)
        try:
            base = ensure_weights(encoder.base_model, project.settings, progress=progress)
            licenses, note = copy_licenses(base, partial), _write_tunable(encoder, base, partial)
        except FreeholdError as error:
            licenses, note = [], f"it cannot be tuned on from here: {error.message}"
        files = hashes_of(partial)
        facts = EncoderCardFacts(
            encoder=encoder,
            usage=usage,
            libraries=", ".join(("numpy", "msgspec", "safetensors", *LIBRARIES[manifest.runs_on])),
            **facts_of(project, encoder, files, licenses, progress),
        )
        (partial / README).write_text(encoder_card(facts), encoding="utf-8")
    notes = () if note is None else (note,)
    return EncoderExport(
        encoder_id=encoder.id, path=str(target), files=files, bytes=bytes_of(target), usage=usage, notes=notes
    )


_CODE_ROOT = Path(freehold.__file__).parent
_TOKENIZERS = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab*",
    "merges.txt",
    "*.model",
)


def _write_tunable(encoder: EncoderModel, base: Weights, folder: Path) -> str | None:
    """Add what sentence-transformers and transformers read: the weights as they were served, the architecture, the
    pooling. Returns why that cannot be, None where it is done."""
    manifest, place = encoder.manifest, Path(base.path or "")
    if base.format == "words":
        return None
    if base.format != "safetensors":
        return f"it cannot be tuned on: weights in the format {base.format} are packed"
    if base.sha256 != encoder.base_sha256:
        raise WeightsError(f"{base.model_id} has other weights here than it was trained on")
    place = place.parent if place.is_file() else place
    for pattern in _TOKENIZERS:
        for file in place.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    tuned = Path(encoder.path) / "run" / TUNED
    for file in [tuned] if encoder.stage != "frozen" else sorted(place.glob("*.safetensors*")):
        if not file.is_file():
            raise WeightsError(f"{file} is gone")
        shutil.copyfile(file, folder / ("model.safetensors" if file == tuned else file.name))
    modules = ["Transformer", "Pooling", *(["Normalize"] if manifest.normalize else [])]
    rows = [
        {
            "idx": at,
            "name": str(at),
            "path": "" if at == 0 else f"{at}_{name}",
            "type": f"sentence_transformers.models.{name}",
        }
        for at, name in enumerate(modules)
    ]
    pooling = {"word_embedding_dimension": manifest.width} | {
        f"pooling_mode_{mode}": mode.startswith(manifest.pooling) for mode in ("cls_token", "mean_tokens")
    }
    prompts = (
        {"prompts": {"query": manifest.prefix}, "default_prompt_name": "query"} if manifest.prefix else {}
    )
    write_json(folder / "modules.json", rows)
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": manifest.max_tokens})
    write_json(folder / "config_sentence_transformers.json", prompts)
    return None
