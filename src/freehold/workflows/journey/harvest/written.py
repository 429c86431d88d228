"""What the incumbent is asked to write: a rubric, critiques of a candidate's errors, paraphrases of rare classes.

A fine-tune that labels answers everything with a label, so its base writes for it: it stops on the same date.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from freehold import files
from freehold.datasets.messages import blanked_text
from freehold.evals.json_text import NotJson, parse_json
from freehold.evals.normalizing import normalized_label
from freehold.types.dataset import Sample
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.workflows.journey.harvest.parts import Ask, Asked, PlannedPart, written_by

RUBRIC_SAMPLES, MOST_CRITIQUES, RARE_BELOW, SOURCES, EACH = 12, 100, 20, 5, 5
"""Samples shown for the rubric; critiques; a class with fewer training samples is rare; samples of it that are
paraphrased, and how often each."""
NONE_RARE = f"every class has at least {RARE_BELOW} training samples"
_LONG = 4000

_RUBRIC = (
    "You know the task of the examples below: an instruction, questions, and the answers that are right. Write the "
    "rubric by which a grader who knows nothing of it should grade other answers from 0 to 10: what must be there, "
    "what may differ, what is a grave and what a slight fault. Name no example. Plain text."
)
_CRITIQUE = (
    "An answer to the question below was graded as wrong. Say what is wrong with it, and grade it. Answer with JSON "
    'only: {"score": 0 to 10, "critique": "at most three sentences"}'
)
_PARAPHRASE = (
    "Write {each} other messages that a person might send with the same intent as the message below, in its language, "
    "each in other words and of about its length. Answer with a JSON list of {each} strings only."
)


class Critique(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``critiques.jsonl``: what the incumbent says of a candidate's wrong answer. `score` is 0 to 10."""

    sample_id: str
    question: str
    reference: str
    answer: str
    score: float | None
    critique: str
    made_by: str


def writer_of(model: str) -> str:
    """The model that writes: a fine-tune's base, else the incumbent itself."""
    return model.split(":")[1] if model.startswith("ft:") and model.count(":") > 1 else model


def rubric_part(asked: Asked, samples: Sequence[Sample]) -> PlannedPart:
    """One request, which shows the first training samples with their right answers."""
    writer = writer_of(asked.model)
    shown = [one for one in samples if one.target is not None][:RUBRIC_SAMPLES]
    if not shown:
        return PlannedPart("rubric", writer, not_taken="no training sample has an answer")
    text = "\n\n".join(f"{_question(one)}\n# Right answer\n{(one.target or '')[:_LONG]}" for one in shown)
    messages = [{"role": "system", "content": _RUBRIC}, {"role": "user", "content": text}]
    return PlannedPart(
        "rubric",
        writer,
        (written_by(asked, writer, messages, about="rubric", max_tokens=1200, temperature=0.0),),
    )


def critiques_part(asked: Asked, evaluation: Evaluation | None) -> PlannedPart:
    """One request for each of the candidate's first errors in its latest evaluation."""
    writer = writer_of(asked.model)
    path = Path(evaluation.results_file) if evaluation is not None and evaluation.results_file else None
    if evaluation is None or path is None or not path.exists():
        return PlannedPart("critiques", writer, not_taken="no candidate has been evaluated yet")
    asks = []
    with files.reading(path):
        for line in path.read_bytes().splitlines():
            item = msgspec.json.decode(line, type=ItemResult)
            score, answer = item.candidate.score.value, item.candidate.output
            if score is None or score >= 1 or answer is None or item.reference is None:
                continue
            text = f"{_question(item.sample)}\n# Right answer\n{item.reference[:_LONG]}\n# Answer\n{answer[:_LONG]}"
            messages = [{"role": "system", "content": _CRITIQUE}, {"role": "user", "content": text}]
            ask = written_by(asked, writer, messages, about=item.sample.id, max_tokens=300, temperature=0.0)
            asks.append(
                ask._replace(
                    sample=msgspec.structs.replace(item.sample, gold=item.reference, incumbent=answer)
                )
            )
            if len(asks) == MOST_CRITIQUES:
                break
    why_none = None if asks else f"{evaluation.candidate} made no error in its latest evaluation"
    return PlannedPart("critiques", writer, tuple(asks), why_none)


def paraphrases_part(asked: Asked, train: Sequence[Sample]) -> PlannedPart:
    """Requests for each class with few training samples, where answers are classes. Held-out ones are never shown."""
    writer, classes = writer_of(asked.model), classes_of(train)
    if not classes:
        return PlannedPart("paraphrases", writer, not_taken="the answers are not classes")
    asks = [paraphrase_ask(asked, sample) for some in rare_of(classes) for sample in some[:SOURCES]]
    why_none = None if asks else NONE_RARE
    return PlannedPart("paraphrases", writer, tuple(asks), why_none)


def classes_of(train: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Training samples by their answer, in one spelling; empty where the answers are not classes."""
    classes: dict[str, list[Sample]] = defaultdict(list)
    for sample in train:
        if sample.target is not None and not sample.tools:
            classes[normalized_label(sample.target)].append(sample)
    return {} if len(classes) < 2 or len(classes) > len(train) / 3 else dict(classes)


def rare_of(classes: Mapping[str, list[Sample]]) -> list[list[Sample]]:
    """The classes with few samples, the rarest first."""
    rare = [(len(some), name) for name, some in classes.items() if len(some) < RARE_BELOW]
    return [classes[name] for _, name in sorted(rare)]


def paraphrase_ask(asked: Asked, sample: Sample, number: int = 0) -> Ask:
    """The request for `EACH` paraphrases of a sample's last message; `number` tells repetitions apart."""
    said = blanked_text(sample.messages[-1].content)[:_LONG]
    messages = [
        {"role": "system", "content": _PARAPHRASE.format(each=EACH)},
        {"role": "user", "content": said},
    ]
    limit = min(2000, 100 + EACH * (len(said) // 2 + 40))
    ask = written_by(
        asked,
        writer_of(asked.model),
        messages,
        about=sample.id,
        max_tokens=limit,
        temperature=0.7,
        number=number,
    )
    return ask._replace(sample=sample)


def critique_in(ask: Ask, text: str) -> Critique:
    """The critique in an answer; one that is not the JSON that was asked for is kept as text, without a score."""
    assert ask.sample is not None
    try:
        told = parse_json(text, "anywhere")
    except NotJson:
        told = None
    score = told.get("score") if isinstance(told, dict) else None
    return Critique(
        sample_id=ask.about,
        question=blanked_text(ask.sample.messages[-1].content),
        reference=ask.sample.gold or "",
        answer=ask.sample.incumbent or "",
        score=float(score) if isinstance(score, int | float) and 0 <= score <= 10 else None,
        critique=str(told.get("critique", text)) if isinstance(told, dict) else text,
        made_by=ask.model,
    )


def paraphrases_in(text: str) -> list[str]:
    """The paraphrases in an answer; none where it is not the list that was asked for."""
    try:
        told = parse_json(text, "anywhere")
    except NotJson:
        return []
    return (
        list(Counter(one.strip() for one in told if isinstance(one, str) and one.strip()))
        if isinstance(told, list)
        else []
    )


def _question(sample: Sample) -> str:
    turns = [f"# {message.role}\n{blanked_text(message.content)[:_LONG]}" for message in sample.messages[-3:]]
    system = sample.messages[0]
    if len(sample.messages) > 3 and system.role in ("system", "developer"):
        turns.insert(0, f"# {system.role}\n{blanked_text(system.content)[:_LONG]}")
    return "\n".join(turns)
