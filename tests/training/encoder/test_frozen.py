import numpy as np
import pytest
from tests.training.encoder.conftest import KINDS

from freehold.training.encoder import base as bases
from freehold.training.encoder import frozen, heads
from freehold.training.encoder.answers import FieldForm, TaughtForm, form_of
from freehold.training.encoder.base import EncodedTexts
from freehold.training.encoder.frozen import Features, features
from freehold.training.encoder.prepared import Examples

LABELS = ("refund_card", "card_lost", "top_up")
FORM = form_of(list(LABELS) * 4, [""] * 12)


def drawn(count, seed, labels=LABELS):
    rng = np.random.default_rng(seed)
    places = np.arange(count) % 3
    rows = heads.normalized((np.eye(3)[places] + rng.normal(scale=0.35, size=(count, 3))).astype("f4"))
    examples = Examples([""] * count, [(labels[place],) for place in places])
    return Features(examples, rows, [], EncodedTexts([], []))


NO_NAMES = (np.empty((0, 3), dtype="f4"),)


def test_validation_calibrates_and_counts():
    made = frozen.fit(FORM, drawn(120, 0), drawn(300, 1), NO_NAMES)
    assert made.asked == 300
    assert made.right > 240
    assert made.calibration_error < 0.08


def test_without_validation_folds_do():
    made = frozen.fit(FORM, drawn(120, 0), drawn(0, 1), NO_NAMES)
    assert made.asked == 120
    assert made.right > 90
    assert made.heads[0].temperature > 0


def test_too_few_samples_have_no_figure():
    made = frozen.fit(FORM, drawn(12, 0), drawn(0, 1), NO_NAMES)
    assert (made.asked, made.calibration_error) == (0, None)


def test_a_labels_own_words_are_taught():
    names = (heads.normalized(np.eye(3, dtype="f4")),)
    with_names = frozen.fit(FORM, drawn(6, 3), drawn(300, 1), names).right
    assert with_names >= frozen.fit(FORM, drawn(6, 3), drawn(300, 1), NO_NAMES).right
    assert frozen.label_words(FORM.fields[0])[0] in {"refund card", "card lost", "top up"}


def test_a_label_never_taught_counts_as_wrong():
    held = drawn(60, 1, labels=("refund_card", "card_lost", "new"))
    made = frozen.fit(FORM, drawn(120, 0), held, NO_NAMES)
    assert made.right <= 40


@pytest.mark.parametrize("places", [[0, 2], []])
def test_some_of_the_examples(places):
    some = frozen.taken(drawn(6, 0), np.array(places, dtype=np.intp))
    assert len(some.examples) == len(some.pooled) == len(places)


EXAMPLES = Examples(list(KINDS.values()), [("x",)] * 3)
POOLED = np.zeros((3, 32), dtype="f4")


def form(kind):
    return TaughtForm(
        answer="json", fields=(FieldForm(name="n", kind=kind, labels=("x", "y"), counts=(2, 1)),)
    )


def test_tokens_are_embedded_where_a_field_is_copied(base_weights):
    base = bases.load(base_weights)
    made = features(base, EXAMPLES, POOLED, form("copied"), 32)
    assert [len(one) for one in made.tokens] == [len(row) for row in made.encoded.ids]
    assert features(base, EXAMPLES, POOLED, form("one"), 32).tokens == []
    assert features(None, EXAMPLES, POOLED, form("one"), 32).pooled is POOLED
