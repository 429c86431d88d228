"""A data card as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.types.dataset import DataCard, SplitProfile

SHOWN_LABELS = 12


def card_markdown(card: DataCard) -> str:
    """The card for people: what is in the data, where from, what was done to it, under whose terms."""
    parts = [f"# Data card: {card.name}", f"Dataset `{card.dataset_id}`." if card.dataset_id else "Not kept."]
    if card.warnings:
        parts += ["## Look at this first", _lines(card.warnings)]
    parts += ["## What is in it", _table(card)]
    for name, split in card.splits.items():
        said = "\n".join(f"- {line}" for line in _about(split))
        parts.append(f"**{name.replace('_', '-')}**\n\n{said}")
    parts += ["## Where it is from", _lines(_origins(card))]
    parts += ["## What was done to it", _lines(_done(card))]
    if card.first_conflicts:
        parts += ["## Asked the same, answered differently", _lines(_conflicts(card))]
    parts += [
        "## Under whose terms",
        _lines(card.terms or ("Only your own answers are learned from.",)),
    ]
    return "\n\n".join(parts) + "\n"


def card_in_short(card: DataCard) -> tuple[str, ...]:
    """The card for other pages: where the data are from, what was done to them, whose terms count, what looks wrong.
    Nothing of any sample is in it."""
    doubtful = (f"look at this: {warning}" for warning in card.warnings)
    return (*_origins(card), *_done(card), *card.terms, *doubtful)


def _lines(lines: Iterator[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(card: DataCard) -> str:
    rows = [
        "Lengths are characters: median, 95 %, longest.",
        "",
        "| split | samples | question | answer |",
        "|---|--:|---|---|",
    ]
    for name, split in card.splits.items():
        asked, said = split.question_characters, split.answer_characters
        rows.append(
            f"| {name.replace('_', '-')} | {split.samples:,} | {asked.median:,}, {asked.p95:,}, {asked.longest:,} "
            f"| {said.median:,}, {said.p95:,}, {said.longest:,} |"
        )
    return "\n".join(rows)


def _about(split: SplitProfile) -> Iterator[str]:
    if split.turns:
        yield "turns: " + ", ".join(f"{count:,} with {name}" for name, count in split.turns.items())
    if split.with_tools:
        yield f"{split.with_tools:,} with tools"
    if split.languages:
        looked = sum(split.languages.values())
        yield f"languages of {looked:,} looked at: " + ", ".join(
            f"{name} {count:,}" for name, count in split.languages.items()
        )
    if split.labels:
        first = list(split.labels.items())[:SHOWN_LABELS]
        more = "" if split.different_answers <= len(first) else " …"
        yield (
            f"{split.different_answers:,} labels: "
            + ", ".join(f"{_cell(name)} {count:,}" for name, count in first)
            + more
        )
    else:
        yield f"{split.different_answers:,} different answers"


def _origins(card: DataCard) -> Iterator[str]:
    for origin in card.origins:
        model = f", answered by {origin.model}" if origin.model else ""
        yield f"{origin.traces:,} traces from {origin.source}{model}"
    if card.first_at and card.last_at:
        yield f"from {card.first_at} to {card.last_at} (UTC; the time of import where none was recorded)"


def _done(card: DataCard) -> Iterator[str]:
    how = {
        "off": "not looked for",
        "patterns": "looked for by built-in patterns (no names)",
        "library": "looked for by Presidio without a language model (no names)",
        "library with names": "looked for by Presidio with a language model",
    }.get(card.personal_data, card.personal_data)
    yield f"personal data: {how}"
    for kind, found in card.replaced.items():
        yield (
            f"{kind}: {found.found:,} replaced in {found.samples:,} samples, {found.different:,} different ones, "
            "each by a placeholder of its own"
        )
    near = card.near_duplicates
    if near is None:
        yield "near duplicates: not looked for"
    else:
        across, within = sum(near.across.values()), sum(near.within.values())
        yield (
            f"near duplicates (likeness from {near.threshold:g}): {across:,} taken out because another split holds "
            f"one, {within:,} repeats taken out, {near.in_held_out:,} repeats left in held-out"
        )
    for reason, count in sorted(card.left_out.items()):
        yield f"left out: {count:,} × {reason}"
    right = card.incumbent_right
    if right.get("scored"):
        yield (
            f"the incumbent's answer is right in {right['right']:,} of {right['scored']:,} samples that have a right "
            f"answer as well (scorer {right['scorer']}); {right['not_learned']:,} wrong ones are not learned from"
        )
    yield "training targets: " + ", ".join(f"{count:,} {name}" for name, count in card.targets_from.items())


def _conflicts(card: DataCard) -> Iterator[str]:
    for one in card.first_conflicts:
        sides = {"gold": one.gold, "other_gold": one.other_gold}.get(one.incumbent_sides_with or "")
        said = f"; the incumbent says `{_cell(sides)}` to both" if sides is not None else ""
        yield (
            f"“{_cell(one.question)}” → `{_cell(one.gold)}`, “{_cell(one.other_question)}” → `{_cell(one.other_gold)}` "
            f"({one.similarity:.0%} alike{said}; {one.sample_ids[0][:8]}, {one.sample_ids[1][:8]})"
        )


def _cell(text: str, most: int = 120) -> str:
    line = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return line if len(line) <= most else line[: most - 1] + "…"
