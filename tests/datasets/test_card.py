"""The data card as people read it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from scipy.stats import chi2_contingency
from tests.datasets.traces import trace

from freehold.datasets.card import (
    LEVEL,
    LabelTimes,
    card_in_short,
    card_markdown,
    label_shift,
    label_shifts,
    profile,
    warnings,
)
from freehold.types.dataset import (
    DataCard,
    LabelConflict,
    Lengths,
    Message,
    NearDuplicates,
    Origin,
    Replaced,
    Sample,
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


def sample(number, answer="yes", *, turns=1, **more):
    messages = [Message(role="user", content=f"question {number}, which is long enough to tell its language")]
    messages += [Message(role="assistant", content="a"), Message(role="user", content="b")] * (turns - 1)
    return Sample(id=str(number), messages=tuple(messages), gold=answer, **more)


def split(samples=100, labels=None, **more):
    none = Lengths(median=0, p95=0, longest=0)
    labels = {"yes": samples // 2, "no": samples // 2} if labels is None else labels
    return SplitProfile(
        samples=samples,
        question_characters=none,
        answer_characters=none,
        labels=labels,
        different_answers=len(labels),
        **more,
    )


def said(train, held_out, conflicts=0):
    return " | ".join(warnings({"train": train, "validation": split(), "held_out": held_out}, conflicts))


def test_a_split_is_counted():
    samples = [sample(number, "yes" if number % 2 else "no") for number in range(10)]
    samples += [sample(10, turns=3), sample(11, turns=6, tools=[{"type": "function"}])]
    samples.append(sample(12, metadata={"split": "held_out"}))
    found = profile(samples)
    assert found.samples == 13 and found.with_tools == 1 and found.kept_for_evaluation == 1
    assert found.turns == {"one turn": 11, "2 to 4 turns": 1, "5 turns or more": 1}
    assert found.labels == {"yes": 8, "no": 5} and found.different_answers == 2
    assert found.answer_characters.longest == 3


@pytest.mark.parametrize(
    ("train", "held_out", "words"),
    [
        (split(labels={"yes": 100}), split(), "all 100 training samples have the same answer"),
        (split(samples=49), split(), "49 training samples are few"),
        (split(), split(samples=49), "49 held-out samples prove little"),
        (
            split(),
            split(kept_for_evaluation=40),
            "40 of 100 held-out samples are of files kept for evaluation",
        ),
        (split(), split(labels={"yes": 50, "late": 50}), "1 label is held out but never taught: late"),
        (split(labels={"yes": 96, "no": 4}), split(), "1 label has fewer than 5 training samples: no"),
        (
            split(labels={"a": 80, "b": 10, "c": 10}),
            split(labels={"a": 100}),
            "80% of the training samples are 'a'",
        ),
    ],
)
def test_what_looks_wrong_is_said(train, held_out, words):
    assert words in said(train, held_out)


DAY = datetime(2026, 1, 1, tzinfo=UTC)


def split_of_shifts(count, rare, group=None):
    return [
        Sample(id=str(n), messages=(), gold="oos" if n < rare else f"i{n % 5}", group=group)
        for n in range(count)
    ]


def told(train, held_out, times=None):
    by_split = {"train": train, "validation": [], "held_out": held_out}
    return list(label_shifts(by_split, times or LabelTimes()))


def test_what_is_held_out_more_often_is_told():
    (said,) = told(split_of_shifts(600, 18), split_of_shifts(300, 54))
    assert "between what is learned from or chosen by and what is held out" in said
    assert ": oos 3.0% and 18.0%, i" in said
    assert told(split_of_shifts(600, 18), split_of_shifts(300, 9)) == []
    assert told(split_of_shifts(600, 18, group="one user"), split_of_shifts(300, 54, group="another")) == []


@pytest.mark.parametrize(("known", "count"), [(True, 1), (False, 0)])
def test_labels_that_change_with_time_are_told_where_the_time_is_known(known, count):
    times = LabelTimes()
    for n in range(400):
        at = DAY + timedelta(hours=n)
        one = trace(n, gold="oos" if n > 200 and n % 4 == 0 else f"i{n % 5}")
        times.add(msgspec.structs.replace(one, at=at, imported_at=None if known else at))
    found = told(split_of_shifts(600, 18), split_of_shifts(300, 9), times)
    assert len(found) == count
    assert all(
        "between the early half of the log and the late half" in one and "oos 0.0% and 24.5%" in one
        for one in found
    )


def test_out_of_scope_that_is_held_out_more_often_is_told_by_name_and_shares():
    before = {"out of scope": 93, **{f"intent {n}": 20 for n in range(150)}}
    after = {"out of scope": 330, **{f"intent {n}": 10 for n in range(150)}}
    found = label_shift(before, after)
    assert found.tells and found.p == 1 / 2000 and found.share == pytest.approx(0.15, abs=0.01)
    name, share, other = found.most[0]
    assert (name, round(share, 3), round(other, 2)) == ("out of scope", 0.03, 0.18)


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.05, 0.03, 0.02], [1 / 60] * 60])
def test_chance_is_told_in_one_case_of_a_hundred(shares):
    draw = np.random.default_rng(3)
    sides = [dict(enumerate(draw.multinomial(n, shares))) for _ in range(300) for n in (300, 80)]
    found = [label_shift(*pair) for pair in zip(sides[::2], sides[1::2], strict=True)]
    assert sum(one.p < LEVEL for one in found) <= 9  # 3 expected; more than 9 in 1 of 1,000 series


def test_where_counts_are_large_it_is_the_chi_square_test():
    before, after = {"a": 5100, "b": 4900}, {"a": 4900, "b": 5100}
    both = [[5100, 4900], [4900, 5100]]
    assert label_shift(before, after).p == pytest.approx(
        chi2_contingency(both, correction=False).pvalue, abs=3e-3
    )


def test_much_data_does_not_make_a_trifle_tell_and_an_empty_side_says_nothing():
    assert not label_shift({"a": 505_000, "b": 495_000}, {"a": 495_000, "b": 505_000}).tells
    assert label_shift({}, {"a": 3}) is None and label_shift({"a": 3}, Counter()) is None
