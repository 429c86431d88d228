"""The model card of an exported adapter, as Markdown: what it is, from what, under which duties, how good.

A card is a hub's README: YAML front matter (the keys hubs read), then text. Nothing is said that is not in a record;
what is not known is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freehold.types.dataset import Dataset
from freehold.types.encoder import MOST_CHARACTERS, EncoderModel, FieldHead
from freehold.types.license import Obligation, Ruling
from freehold.types.record import Record
from freehold.types.report import CandidateReport
from freehold.types.training import Adapter


class ExportFacts(Record, frozen=True, kw_only=True):
    """What a card says of whatever was exported. Parts that were not recorded are None. `usage` is a shell command."""

    files: dict[str, str]
    """File name to sha256."""
    usage: str
    app: str
    version: str
    dataset: Dataset | None = None
    data: tuple[str, ...] = ()
    """The data card in short."""
    ruling: Ruling | None = None
    passing_on: Ruling | None = None
    """The ruling for the same use if these files were given to others."""
    candidate: CandidateReport | None = None
    incumbent: str | None = None
    license_files: tuple[str, ...] = ()
    """Texts of the base's terms that lie in the folder."""


class CardFacts(ExportFacts, frozen=True, kw_only=True):
    """Everything the card of an adapter says. `quantization` is set for GGUF exports."""

    adapter: Adapter
    kind: str
    quantization: str | None = None
    notes: tuple[str, ...] = ()


def model_card(facts: CardFacts) -> str:
    """The whole card."""
    parts = [
        _front_matter(facts),
        f"# {facts.adapter.name}",
        _what(facts),
        f"```\n{facts.usage}\n```",
        *([" ".join(facts.notes)] if facts.notes else []),
        "## How it was made\n\n" + _making(facts.adapter),
        "## Data\n\n" + data_section(facts.dataset, facts.data, facts.incumbent),
        "## How good it is\n\n" + evaluation_section(facts.candidate, _not_these_files(facts)),
        "## Licence and duties\n\n" + duties_section(facts.ruling, facts.passing_on, facts.license_files),
        "## Lineage\n\n" + _lineage(facts),
        "## Files\n\n" + "\n".join(f"- `{name}` sha256 `{digest}`" for name, digest in facts.files.items()),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def _front_matter(facts: CardFacts) -> str:
    adapter = facts.adapter
    library = {"peft": "peft", "merged": "transformers", "vllm": "transformers"}.get(facts.kind, "gguf")
    lines = ["---", f"base_model: {adapter.base_model}"]
    relation = "adapter" if facts.kind in ("peft", "gguf-adapter") else "finetune"
    if facts.quantization is not None:
        relation = "quantized"
    lines += [f"base_model_relation: {relation}", f"library_name: {library}", "pipeline_tag: text-generation"]
    if facts.ruling is not None and len(facts.ruling.licenses) == 1:
        lines.append(f"license: {facts.ruling.licenses[0].lower()}")
    elif facts.ruling is not None and facts.ruling.licenses:
        lines += ["license: other", f"license_name: {' + '.join(facts.ruling.licenses)}"]
    tags = ["freehold", adapter.config.method]
    return "\n".join([*lines, "tags:", *[f"- {tag}" for tag in tags], "---"])


def _what(facts: CardFacts) -> str:
    kinds = {
        "peft": "a PEFT adapter: load it on its base",
        "merged": "whole weights, the adapter merged into its base",
        "gguf-adapter": "an adapter for llama.cpp: load it on its base",
        "gguf": "whole weights for llama.cpp, the adapter merged into its base",
        "ollama": "what `ollama create` needs",
        "vllm": "whole weights with what `vllm serve` needs",
    }
    stored = f", {facts.quantization} where the adapter changed them" if facts.quantization else ""
    return (
        f"{facts.adapter.base_model}, taught the task of {facts.app}. This folder holds "
        f"{kinds.get(facts.kind, facts.kind)}{stored}."
    )


def _making(adapter: Adapter) -> str:
    config = adapter.config
    kind = "LoRA" if config.method == "lora" else "QLoRA (4-bit base, NF4)"
    loss = adapter.metadata.get("validation_loss")
    lines = [
        f"- {kind}, rank {config.r}",
        f"- {adapter.steps:,} steps of {config.batch_size} samples, rate {config.learning_rate:g}, "
        f"seed {adapter.seed}",
        f"- {adapter.train_tokens:,} tokens in {adapter.train_seconds:,.0f} s, final training loss "
        f"{adapter.final_loss:.4f}" + (f", validation loss {loss:.4f}" if isinstance(loss, float) else ""),
        f"- chat template sha256 `{adapter.template_sha256}`; use no other",
        *_trained_on(adapter),
        "- versions: " + ", ".join(f"{name} {version}" for name, version in adapter.versions.items()),
    ]
    return "\n".join(lines)


def _trained_on(adapter: Adapter) -> list[str]:
    """Which numbers the base had, and who wrote the calls."""
    lines = []
    base = adapter.metadata.get("base_weights")
    if isinstance(base, dict) and base.get("format") == "gguf":
        lines.append(
            f"- trained on the dequantized numbers of {base.get('quantization')} weights (`{base.get('source')}`), "
            "not on the model's 16-bit weights"
        )
    if adapter.call_format == "tagged":
        lines.append(
            "- tools and calls are written by freehold's preface to the base's chat template, which has none"
        )
    return lines


def _license_files(files: Sequence[str]) -> str:
    if files:
        names = ", ".join(f"`{name}`" for name in files)
        return f"\n\nThe base's terms as they came with its weights: {names}."
    return "\n\nNo licence text lay next to the base's weights: where a copy is a duty, add it."


def data_section(dataset: Dataset | None, data: Sequence[str], incumbent: str | None) -> str:
    """What a dataset holds; `data` is its card in short, `incumbent` who answered where the dataset does not say."""
    if dataset is None:
        return "The dataset's manifest was not available when this card was written."
    counts = ", ".join(f"{split.samples:,} {split.name.replace('_', '-')}" for split in dataset.splits)
    lines = [f"- dataset `{dataset.id}`: {counts} samples"]
    lines += [f"- {split.name} sha256 `{split.sha256}`" for split in dataset.splits]
    if data:
        return "\n".join([*lines, *[f"- {line}" for line in data]])
    gold, learned = dataset.targets_from.get("gold", 0), dataset.targets_from.get("incumbent", 0)
    if gold:
        lines.append(f"- {gold:,} training answers were marked as right by a person")
    if learned:
        whose = dataset.incumbent_model or incumbent or "a rented model"
        lines.append(f"- {learned:,} training answers are {whose}'s own: its terms count")
    lines += [f"- left out: {count:,} × {reason}" for reason, count in sorted(dataset.dropped.items())]
    lines += [f"- {note}" for note in dataset.notes]
    return "\n".join(lines)


def evaluation_section(candidate: CandidateReport | None, note: str | None = None) -> str:
    """What the newest report says of it, behind a `note` on what was measured."""
    if candidate is None or (candidate.measured is None and candidate.comparison is None):
        return "It has not been evaluated on held-out samples. Do that before relying on it."
    lines: list[str] = []
    comparison, measured = candidate.comparison, candidate.measured
    if note is not None:
        lines.append(f"{note}\n")
    if measured is not None and measured.mean is not None:
        lines.append(
            f"- score on {measured.n:,} held-out samples: {measured.mean:.1%}"
            + _interval(measured.ci_low, measured.ci_high, measured.level)
        )
    if comparison is not None and comparison.incumbent_mean is not None:
        lines.append(f"- {comparison.incumbent} on the same samples: {comparison.incumbent_mean:.1%}")
    if comparison is not None and comparison.difference is not None:
        lines.append(
            f"- difference {100 * comparison.difference:+.1f} points"
            + _interval(comparison.ci_low, comparison.ci_high, comparison.level, points=True)
            + f", margin {100 * comparison.margin:g}"
        )
    if candidate.untrained is not None and candidate.untrained.mean is not None:
        lines.append(
            f"- the base without it: {candidate.untrained.mean:.1%} of {candidate.untrained.n:,}, asked as the "
            "application asks (without instruction or examples this is not a baseline)"
        )
    if candidate.verdict is not None:
        lines.append(f"- verdict: {candidate.verdict.outcome}")
    if candidate.retained is not None:
        lines.append(f"\nIt was taught one narrow task. {candidate.retained.text}")
    else:
        lines.append("\nIt was taught one narrow task. Nothing is known of how it does anything else.")
    return "\n".join(lines)


def _not_these_files(facts: CardFacts) -> str | None:
    """What the scores were measured on, where that is not what this folder holds."""
    candidate = facts.candidate
    if candidate is None:
        return None
    served = candidate.weights.quantization if candidate.weights is not None else None
    if facts.kind == "gguf-adapter":
        return None
    weights = f"{served} weights" if served else "weights"
    measured = f"the base's {weights} with the adapter beside them"
    here = f"{facts.quantization} weights" if facts.quantization else "files"
    return (
        f"These scores are of what was served: {measured}. The {here} in this folder give slightly other numbers and "
        "were not measured; `freehold evaluate` measures them."
    )


def _interval(low: float | None, high: float | None, level: float, *, points: bool = False) -> str:
    if low is None or high is None:
        return ""
    limits = f"{100 * low:+.1f}, {100 * high:+.1f}" if points else f"{low:.1%}, {high:.1%}"
    return f" ({100 * level:.3g} % interval {limits})"


def duties_section(ruling: Ruling | None, passing_on: Ruling | None, license_files: Sequence[str]) -> str:
    """What its licences ask for, here and where it is given to others, and which of their texts lie in the folder."""
    return _duties(ruling, passing_on) + _license_files(license_files)


def _duties(ruling: Ruling | None, passing_on: Ruling | None) -> str:
    if ruling is None:
        return "No ruling was made. Ask `freehold license` before passing it on."
    under = ", ".join(ruling.licenses) or "no licence is known"
    lines = [f"Ruling: **{ruling.outcome.replace('_', ' ')}** for the use it was made for ({under})."]
    if not ruling.outcome.startswith("allowed"):
        lines += ["", *_why(ruling)]
    due = [duty for duty in ruling.obligations if not (duty.recommended or duty.passive)]
    stay = [duty for duty in ruling.obligations if duty.passive]
    lines += [""] + [_duty(duty) for duty in due] if due else []
    lines += ["", "Stay within:", ""] + [_duty(duty) for duty in stay] if stay else []
    if passing_on is not None and passing_on.id != ruling.id:
        more = [duty for duty in passing_on.obligations if not (duty.recommended or duty.passive)]
        lines += ["", f"If you give these files to others: **{passing_on.outcome.replace('_', ' ')}**.", ""]
        if passing_on.outcome != ruling.outcome and not passing_on.outcome.startswith("allowed"):
            lines += _why(passing_on)
        lines += [_duty(duty) for duty in more]
    lines += ["", "Facts and readings, not legal advice."]
    return "\n".join(lines)


def _why(ruling: Ruling) -> list[str]:
    """The reasons that alone lead to the outcome."""
    return [f"- {one.text}" for one in ruling.reasons if one.outcome == ruling.outcome]


def _duty(duty: Obligation) -> str:
    value = f": “{duty.value}”" if duty.value else ""
    return f"- {duty.text}{value} ({duty.license_id}, {duty.section})"


def _lineage(facts: CardFacts) -> str:
    adapter = facts.adapter
    rows: list[tuple[str, Any]] = [
        ("base", f"{adapter.base_model}, weights sha256 `{adapter.base_sha256}`"),
        ("trained on", f"dataset `{adapter.dataset_id}`"),
        ("adapter", f"`{adapter.id}`"),
        ("made by", f"freehold {facts.version}, {facts.kind}"),
    ]
    dataset = facts.dataset
    if dataset is not None and dataset.targets_from.get("incumbent") and dataset.incumbent_model:
        rows.insert(2, ("distilled from", dataset.incumbent_model))
    return "\n".join(f"- {name}: {value}" for name, value in rows)


class EncoderCardFacts(ExportFacts, frozen=True, kw_only=True):
    """Everything the card of an encoder says."""

    encoder: EncoderModel
    libraries: str
    """What has to be installed to run the example."""


_STAGES = {
    "words": "heads over words by support vector machines; there is no base",
    "frozen": "the base's weights as they were; heads by logistic regression",
    "contrastive": "all weights, by contrast between labels; then heads by logistic regression",
    "tuned": "all weights and the heads together",
}


_TUNED_ON = (
    "To tune it on, `sentence_transformers.SentenceTransformer(folder)` or `transformers.AutoModel` opens the same "
    "weights. `encode` gives the embeddings that `heads.safetensors` reads; of a text longer than `max_tokens` it "
    "reads the first piece only."
)


def encoder_card(facts: EncoderCardFacts) -> str:
    """The whole card."""
    encoder = facts.encoder
    parts = [
        _encoder_front_matter(facts),
        f"# {encoder.name}",
        _encoder_what(facts),
        f"```\n{facts.usage}\n```",
        f"It needs {facts.libraries}, and neither PyTorch nor an installed freehold.",
        *([] if "modules.json" not in facts.files else [_TUNED_ON]),
        "## What it answers\n\n"
        + "\n".join(_field(field) for field in encoder.manifest.fields)
        + "\n\nIt answers every message, also those of a kind it was never taught.",
        "## How it was made\n\n" + _encoder_making(encoder),
        "## Data\n\n" + data_section(facts.dataset, facts.data, facts.incumbent),
        "## How good it is\n\n" + _validation(encoder) + "\n" + evaluation_section(facts.candidate),
        "## Licence and duties\n\n" + duties_section(facts.ruling, facts.passing_on, facts.license_files),
        "## Lineage\n\n" + _encoder_lineage(facts),
        "## Files\n\n" + "\n".join(f"- `{name}` sha256 `{digest}`" for name, digest in facts.files.items()),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def _encoder_front_matter(facts: EncoderCardFacts) -> str:
    encoder = facts.encoder
    lines = ["---"]
    if encoder.stage != "words":
        lines += [f"base_model: {encoder.base_model}", "base_model_relation: finetune"]
    library = "sentence-transformers" if "modules.json" in facts.files else encoder.manifest.runs_on
    lines += [f"library_name: {library}", "pipeline_tag: text-classification"]
    if facts.ruling is not None and len(facts.ruling.licenses) == 1:
        lines.append(f"license: {facts.ruling.licenses[0].lower()}")
    elif facts.ruling is not None and facts.ruling.licenses:
        lines += ["license: other", f"license_name: {' + '.join(facts.ruling.licenses)}"]
    return "\n".join([*lines, "tags:", "- freehold", f"- {encoder.stage}", "---"])


def _encoder_what(facts: EncoderCardFacts) -> str:
    what = (
        "Linear heads over words"
        if facts.encoder.stage == "words"
        else f"{facts.encoder.base_model} with heads"
    )
    return (
        f"{what} that answer from closed sets, taught the task of {facts.app}. It "
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


def _encoder_making(encoder: EncoderModel) -> str:
    manifest = encoder.manifest
    peak = (
        ""
        if encoder.peak_memory_bytes is None
        else f", {encoder.peak_memory_bytes / 2**30:.1f} GiB at the peak"
    )
    read = f"{manifest.max_tokens:,} tokens of a message are read, {manifest.pooling} pooling"
    if encoder.stage == "words":
        read = f"the first {MOST_CHARACTERS:,} characters of a message are read"
    if manifest.prefix:
        read += f", behind the prefix `{manifest.prefix}`"
    return "\n".join(
        (
            f"- trained: {_STAGES[encoder.stage]}"
            + ("" if encoder.ended is None else f" ({encoder.ended.why})"),
            f"- {encoder.train_samples:,} samples in {encoder.train_seconds:,.0f} s{peak}, seed {encoder.seed}",
            f"- {read}",
            "- versions: " + ", ".join(f"{name} {version}" for name, version in encoder.versions.items()),
        )
    )


def _validation(encoder: EncoderModel) -> str:
    if not encoder.validation_asked:
        return "- there were too few samples to validate it"
    share = encoder.validation_right / encoder.validation_asked
    line = (
        f"- {encoder.validation_right:,} of {encoder.validation_asked:,} samples left out right ({share:.1%})"
    )
    if encoder.calibration_error is not None:
        line += f"; expected calibration error {encoder.calibration_error:.3f}"
    return line


def _encoder_lineage(facts: EncoderCardFacts) -> str:
    encoder, dataset = facts.encoder, facts.dataset
    base = ("base", f"{encoder.base_model}, weights sha256 `{encoder.base_sha256}`")
    rows = [
        *([base] if encoder.stage != "words" else []),
        ("trained on", f"dataset `{encoder.dataset_id}`"),
        ("encoder", f"`{encoder.id}`"),
        ("made by", f"freehold {facts.version}"),
    ]
    if dataset is not None and dataset.targets_from.get("incumbent") and dataset.incumbent_model:
        rows.insert(-2, ("answers of", dataset.incumbent_model))
    return "\n".join(f"- {name}: {value}" for name, value in rows)
