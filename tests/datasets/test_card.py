"""The data card as people read it."""

from freehold.datasets.card import card_in_short, card_markdown
from freehold.types.dataset import (
    DataCard,
    LabelConflict,
    Lengths,
    NearDuplicates,
    Origin,
    Replaced,
    SplitProfile,
)

SPLIT = SplitProfile(
    samples=1200,
    question_characters=Lengths(median=40, p95=90, longest=3000),
    answer_characters=Lengths(median=3, p95=4, longest=5),
    turns={"one turn": 1200},
    with_tools=7,
    languages={"en": 900, "de": 300},
    different_answers=2,
    labels={"yes|no": 700, "no": 500},
)
CONFLICT = LabelConflict(
    question="where is it",
    other_question="where is it?",
    gold="track",
    other_gold="return",
    sample_ids=("a" * 12, "b" * 12),
    similarity=0.97,
    incumbent_sides_with="gold",
)
CARD = DataCard(
    dataset_id="d1",
    name="helpdesk",
    splits={"train": SPLIT, "held_out": SPLIT},
    origins=(Origin(source="import:a.jsonl", model="gpt-4o", traces=2400),),
    first_at="2026-01-01",
    last_at="2026-02-01",
    personal_data="patterns",
    replaced={"EMAIL": Replaced(found=5, different=3, samples=4)},
    near_duplicates=NearDuplicates(
        threshold=0.8, across={"train: held_out": 2}, within={"train": 1}, in_held_out=3
    ),
    left_out={"no answer": 9},
    label_conflicts=1,
    first_conflicts=(CONFLICT,),
    targets_from={"gold": 2400},
    incumbent_model="gpt-4o",
    incumbent_right={"scored": 100, "right": 90, "scorer": "exact", "not_learned": 10},
    warnings=("few samples",),
    terms=("OpenAI's terms count.",),
)


def test_the_card_has_each_part_with_its_numbers():
    page = card_markdown(CARD)
    for words in (
        "# Data card: helpdesk",
        "Dataset `d1`.",
        "- few samples",
        "| held-out | 1,200 | 40, 90, 3,000 | 3, 4, 5 |",
        "7 with tools",
        "languages of 1,200 looked at: en 900, de 300",
        "2,400 traces from import:a.jsonl, answered by gpt-4o",
        "from 2026-01-01 to 2026-02-01",
        "personal data: looked for by built-in patterns",
        "EMAIL: 5 replaced in 4 samples, 3 different ones",
        "2 taken out because another split holds one, 1 repeats taken out, 3 repeats left in held-out",
        "left out: 9 × no answer",
        "is right in 90 of 100 samples",
        "“where is it” → `track`, “where is it?” → `return`",
        "97% alike; the incumbent says `track` to both",
        "OpenAI's terms count.",
    ):
        assert words in page, words


def test_in_short_nothing_of_a_sample_is_told():
    short = " ".join(card_in_short(CARD))
    assert "look at this: few samples" in short and "OpenAI's terms count." in short
    assert "where is it" not in short and "yes|no" not in short
