"""Heads on a frozen base, and against an incumbent's answers, on embeddings made up here."""

import numpy as np
import pytest
from tests.training.encoder.conftest import KINDS

from freehold.encoders.folder import LinearHead
from freehold.encoders.runner import unit_length
from freehold.training.encoder import base as bases
from freehold.training.encoder import frozen, pseudo
from freehold.training.encoder.answers import TaughtForm, form_of
from freehold.training.encoder.frozen import Features, features
from freehold.training.encoder.prepared import Examples
from freehold.types.encoder import FieldHead

LABELS = ("refund_card", "card_lost", "top_up")
FORM = form_of(list(LABELS) * 4, [""] * 12)


def drawn(count, seed, labels=LABELS):
    rng = np.random.default_rng(seed)
    places = np.arange(count) % 3
    rows = unit_length((np.eye(3)[places] + rng.normal(scale=0.35, size=(count, 3))).astype("f4"))
    examples = Examples([""] * count, [(labels[place],) for place in places])
    return Features(examples, rows)


NO_NAMES = (np.empty((0, 3), dtype="f4"),)


def fitted(train, held, names=NO_NAMES):
    whole = Features(
        Examples(
            [*train.examples.texts, *held.examples.texts], [*train.examples.values, *held.examples.values]
        ),
        np.concatenate([train.pooled, held.pooled]),
    )
    parts = frozen.left_out(FORM, len(train.examples), whole.examples.values)
    return frozen.fit(FORM, whole, parts, names)


def test_validation_calibrates_and_counts():
    made = fitted(drawn(120, 0), drawn(300, 1))
    assert made.asked == 300
    assert made.right > 240
    assert made.calibration_error < 0.08


def test_without_validation_parts_of_all_do():
    made = fitted(drawn(120, 0), drawn(9, 1))
    assert made.asked == 129
    assert made.right > 90
    assert made.heads[0].field.temperature > 0


def test_a_labels_own_words_are_taught():
    names = (unit_length(np.eye(3, dtype="f4")),)
    assert fitted(drawn(6, 3), drawn(300, 1), names).right >= fitted(drawn(6, 3), drawn(300, 1)).right
    assert frozen.label_words(FORM.fields[0])[0] in {"refund card", "card lost", "top up"}


def test_a_label_never_taught_counts_as_wrong():
    held = drawn(60, 1, labels=("refund_card", "card_lost", "new"))
    assert fitted(drawn(120, 0), held).right <= 40


@pytest.mark.parametrize(("told_by", "views"), [("last", 1), ("assistant", 2), ("earlier", 3)])
def test_as_few_views_are_read_as_tell_the_answer(told_by, views):
    rng = np.random.default_rng(0)
    places = rng.integers(0, 3, 200)
    blocks = [rng.normal(scale=0.3, size=(200, 3)) for _ in range(3)]
    blocks[views - 1] += np.eye(3)[places]
    values = [(LABELS[place],) for place in places]
    whole = Features(Examples([""] * 200, values), np.hstack(blocks).astype("f4"))
    made, count = frozen.fit_views(FORM, whole, frozen.left_out(FORM, 120, values), NO_NAMES, 3)
    assert count == views
    assert made.heads[0].weight.shape == (3, 3 * views)


def test_words_are_read_besides_embeddings_where_the_two_beat_either():
    rng = np.random.default_rng(0)
    places = rng.integers(0, 3, 300)
    said = ["refund" if place == 0 else "other thing" for place in places]
    rows = np.stack([0.1 * rng.normal(size=300), places == 1, places == 2], axis=1) + 0.2 * rng.normal(
        size=(300, 3)
    )
    rows[places != 2, 2] = rows[places != 2, 2].mean()
    examples = Examples(said, [(LABELS[place],) for place in places])
    parts = frozen.left_out(FORM, 200, examples.values)
    word_heads = frozen.fit_words(FORM, examples, parts, 1)
    whole = Features(examples, rows.astype("f4"))
    alone = frozen.fit(FORM, whole, parts, NO_NAMES)
    both = frozen.fit(FORM, whole, parts, NO_NAMES, words=word_heads)
    baseline = frozen.by_words(word_heads, frozen.held_of(whole, parts))
    assert both.right >= max(alone.right, baseline.right)
    assert (both.heads[0].words is not None) == (both.right > alone.right)
    assert 60 < baseline.right < 80


@pytest.mark.parametrize(("right", "answers"), [(1.0, True), (0.9, False)])
def test_words_answer_first_what_costs_nothing(right, answers):
    rng = np.random.default_rng(0)
    none = np.zeros((3, 0), "f4")
    head = LinearHead(FORM.fields[0], none, np.zeros(3, "f4"), words=np.zeros((3, 2), "f4"))
    sure = np.repeat(np.array([0.95, 0.3]), 500) + 0.01 * rng.random(1000)
    by_words = rng.random(1000) < np.where(sure > 0.5, right, 0.3)
    by_encoder = rng.random(1000) < np.where(sure > 0.5, 0.97, 0.9)
    words_alone = frozen.Fitted((head,), by_words, sure=sure)
    after = frozen.Fitted((head,), by_encoder, sure=np.full(1000, 0.9))
    both, first = frozen.words_first(words_alone, after)
    if answers:
        here = sure >= first.least
        assert first.share == here.mean() >= 0.5
        assert not (by_encoder & ~by_words)[here].any() and both.right > after.right
        assert (both.hits == np.where(here, by_words, by_encoder)).all()
    else:
        assert (both, first) == (after, None)
    few = frozen.Fitted((head,), by_words[:900], sure=sure[:900])
    assert frozen.words_first(few, after._replace(hits=by_encoder[:900], sure=sure[:900]))[1] is None


EXAMPLES = Examples(list(KINDS.values()), [("x",)] * 3)
POOLED = np.zeros((3, 32), dtype="f4")


def form(kind):
    return TaughtForm(answer="json", fields=(FieldHead(name="n", kind=kind, labels=("x", "y")),))


def test_tokens_are_embedded_where_a_field_is_copied(base_weights):
    base = bases.load(base_weights)
    made = features(base, EXAMPLES, POOLED, form("copied"), 32)
    assert [len(one) for one in made.tokens] == [len(one) for one in made.spans] == [7, 7, 7]
    assert features(base, EXAMPLES, POOLED, form("one"), 32).tokens == ()
    assert features(None, EXAMPLES, POOLED, form("one"), 32).pooled is POOLED


ABC = ("a", "b", "c")
FIELD = FieldHead(name="", kind="one", labels=ABC)


def clouds(count, *, right, wrong_every, seed=0):
    """`count` points around three corners; of those without a right answer every `wrong_every`-th has another label."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    rows = unit_length((np.eye(3)[truth] + random.normal(0, 0.25, (count, 3))).astype("f4"))
    known = np.arange(count) < right
    said = np.where(~known & (np.arange(count) % wrong_every == 0), (truth + 1) % 3, truth)
    return pseudo.LabelledRows(rows, said.astype(np.intp), known), truth


def test_answers_that_heads_contradict_are_doubted():
    taught, truth = clouds(400, right=60, wrong_every=5)
    doubted = pseudo.doubts(FIELD, taught)
    wrong = taught.places != truth
    assert not doubted[taught.right].any(), "what is known to be right is never doubted"
    assert doubted[wrong].mean() > 0.8
    assert doubted[~wrong].mean() < 0.05


def moons(count=120):
    rng = np.random.default_rng(0)
    centers = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], count, axis=0)
    return unit_length((centers + rng.normal(scale=0.25, size=centers.shape)).astype("f4"))


def test_answers_spread_to_texts_alike():
    features, right = moons(), np.repeat([0, 1], 120)
    prior = np.full((240, 2), 0.5, dtype="f4")
    made = pseudo.spread(features, np.array([0, 120]), np.array([0, 1]), prior)
    assert (made.argmax(axis=1) == right).mean() > 0.95
    assert made[0].tolist() == [1, 0], "what is known stays"
    assert np.allclose(made.sum(axis=1), 1, atol=1e-5)
