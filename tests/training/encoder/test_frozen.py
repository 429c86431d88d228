import numpy as np
import pytest

from freehold.training.encoder import frozen, heads
from freehold.training.encoder.answers import form_of
from freehold.training.encoder.base import EncodedTexts
from freehold.training.encoder.frozen import Features
from freehold.training.encoder.prepared import Examples

LABELS = ("refund_card", "card_lost", "top_up")
FORM = form_of(list(LABELS) * 4, [""] * 12)


def features(count, seed, labels=LABELS):
    rng = np.random.default_rng(seed)
    places = np.arange(count) % 3
    rows = heads.normalized((np.eye(3)[places] + rng.normal(scale=0.35, size=(count, 3))).astype("f4"))
    examples = Examples([""] * count, [(labels[place],) for place in places])
    return Features(examples, rows, [], EncodedTexts([], []))


NO_NAMES = (np.empty((0, 3), dtype="f4"),)


def test_validation_calibrates_and_counts():
    made = frozen.fit(FORM, features(120, 0), features(300, 1), NO_NAMES)
    assert made.asked == 300
    assert made.right > 240
    assert made.calibration_error < 0.08
    assert len(made.confidences) == 300


def test_without_validation_folds_do():
    made = frozen.fit(FORM, features(120, 0), features(0, 1), NO_NAMES)
    assert made.asked == 120
    assert made.right > 90
    assert made.heads[0].temperature > 0


def test_too_few_samples_have_no_figure():
    made = frozen.fit(FORM, features(12, 0), features(0, 1), NO_NAMES)
    assert (made.asked, made.calibration_error) == (0, None)


def test_a_labels_own_words_are_taught():
    names = (heads.normalized(np.eye(3, dtype="f4")),)
    with_names = frozen.fit(FORM, features(6, 3), features(300, 1), names).right
    assert with_names >= frozen.fit(FORM, features(6, 3), features(300, 1), NO_NAMES).right
    assert frozen.label_words(FORM.fields[0])[0] in {"refund card", "card lost", "top up"}


def test_a_label_never_taught_counts_as_wrong():
    held = features(60, 1, labels=("refund_card", "card_lost", "new"))
    made = frozen.fit(FORM, features(120, 0), held, NO_NAMES)
    assert made.right <= 40


@pytest.mark.parametrize("places", [[0, 2], []])
def test_some_of_the_examples(places):
    some = frozen.taken(features(6, 0), np.array(places, dtype=np.intp))
    assert len(some.examples) == len(some.pooled) == len(places)
