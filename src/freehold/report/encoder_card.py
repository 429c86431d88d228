"""The model card of an exported encoder, as Markdown: what it is, how it is asked, of what it was made, how good it is.

As `freehold.report.model_card`, which has the sections that both share.
"""

from __future__ import annotations

from freehold.report.model_card import data_section, duties_section, evaluation_section
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderModel, FieldHead
from freehold.types.record import Record
from freehold.types.report import CandidateReport
from freehold.types.ruling import Ruling


class EncoderCardFacts(Record, frozen=True, kw_only=True):
    """Everything one card says. Parts that were not recorded are None. `usage` is a shell command."""

    encoder: EncoderModel
    files: dict[str, str]
    """File name to sha256."""
    usage: str
    libraries: str
    """What has to be installed to run the example."""
    app: str
    version: str
    dataset: Dataset | None = None
    data: tuple[str, ...] = ()
    ruling: Ruling | None = None
    passing_on: Ruling | None = None
    candidate: CandidateReport | None = None
    incumbent: str | None = None
    license_files: tuple[str, ...] = ()


_STAGES = {
    "frozen": "the base's weights as they were; heads by logistic regression",
    "contrastive": "all weights, by contrast between labels; then heads by logistic regression",
    "tuned": "all weights and the heads together",
}


def encoder_card(facts: EncoderCardFacts) -> str:
    """The whole card."""
    encoder = facts.encoder
    parts = [
        _front_matter(facts),
        f"# {encoder.name}",
        _what(facts),
        f"```\n{facts.usage}\n```",
        f"It needs {facts.libraries}, and neither PyTorch nor freehold.",
        "## What it answers\n\n"
        + "\n".join(_field(field) for field in encoder.manifest.fields)
        + "\n\nIt answers every message, also those of a kind it was never taught.",
        "## How it was made\n\n" + _making(encoder),
        "## Data\n\n" + data_section(facts.dataset, facts.data, facts.incumbent),
        "## How good it is\n\n" + _validation(encoder) + "\n" + evaluation_section(facts.candidate),
        "## Licence and duties\n\n" + duties_section(facts.ruling, facts.passing_on, facts.license_files),
        "## Lineage\n\n" + _lineage(facts),
        "## Files\n\n" + "\n".join(f"- `{name}` sha256 `{digest}`" for name, digest in facts.files.items()),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def _front_matter(facts: EncoderCardFacts) -> str:
    encoder = facts.encoder
    lines = ["---", f"base_model: {encoder.base_model}", "base_model_relation: finetune"]
    lines += [f"library_name: {encoder.manifest.runs_on}", "pipeline_tag: text-classification"]
    if facts.ruling is not None and len(facts.ruling.licenses) == 1:
        lines.append(f"license: {facts.ruling.licenses[0].lower()}")
    elif facts.ruling is not None and facts.ruling.licenses:
        lines += ["license: other", f"license_name: {' + '.join(facts.ruling.licenses)}"]
    return "\n".join([*lines, "tags:", "- freehold", f"- {encoder.stage}", "---"])


def _what(facts: EncoderCardFacts) -> str:
    return (
        f"{facts.encoder.base_model} with heads that answer from closed sets, taught the task of {facts.app}. It "
        "writes no text of its own: each answer is one of those below, with its probability."
    )


def _field(field: FieldHead) -> str:
    name = f"`{field.name}`: " if field.name else ""
    if field.kind == "copied":
        return f"- {name}copied from the message, or null ({field.copied_as.replace('_', ' ')})"
    if field.number is not None:
        shown = f"{field.number.before}{'0' * field.number.least_digits}{field.number.after}"
        return f"- {name}a number in the message, as `{shown}`, or null"
    labels = ", ".join(f"`{label}`" for label in field.labels[:20])
    more = f" and {len(field.labels) - 20:,} more (encoder.json)" if len(field.labels) > 20 else ""
    return f"- {name}{'any of' if field.kind == 'several' else 'one of'} {labels}{more}"


def _making(encoder: EncoderModel) -> str:
    manifest = encoder.manifest
    peak = (
        ""
        if encoder.peak_memory_bytes is None
        else f", {encoder.peak_memory_bytes / 2**30:.1f} GiB at the peak"
    )
    read = f"{manifest.max_tokens:,} tokens of a message are read, {manifest.pooling} pooling"
    if manifest.prefix:
        read += f", behind the prefix `{manifest.prefix}`"
    return "\n".join(
        (
            f"- trained: {_STAGES[encoder.stage]}",
            f"- {encoder.train_samples:,} samples in {encoder.train_seconds:,.0f} s{peak}, seed {encoder.seed}",
            f"- {read}",
            "- versions: " + ", ".join(f"{name} {version}" for name, version in encoder.versions.items()),
        )
    )


def _validation(encoder: EncoderModel) -> str:
    if not encoder.validation_asked:
        return "- there were too few samples to validate it"
    share = encoder.validation_right / encoder.validation_asked
    line = f"- {encoder.validation_right:,} of {encoder.validation_asked:,} validation samples right ({share:.1%})"
    if encoder.calibration_error is not None:
        line += f"; expected calibration error {encoder.calibration_error:.3f}"
    return line


def _lineage(facts: EncoderCardFacts) -> str:
    encoder, dataset = facts.encoder, facts.dataset
    rows = [
        ("base", f"{encoder.base_model}, weights sha256 `{encoder.base_sha256}`"),
        ("trained on", f"dataset `{encoder.dataset_id}`"),
        ("encoder", f"`{encoder.id}`"),
        ("made by", f"freehold {facts.version}"),
    ]
    if dataset is not None and dataset.targets_from.get("incumbent") and dataset.incumbent_model:
        rows.insert(2, ("answers of", dataset.incumbent_model))
    return "\n".join(f"- {name}: {value}" for name, value in rows)
