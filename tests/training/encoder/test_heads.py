import numpy as np
import pytest
from scipy.special import softmax

from freehold.encoders.answers import floored, probabilities
from freehold.encoders.runner import unit_length
from freehold.training.encoder import heads
from freehold.types.encoder import FieldHead, of_the_set


def blobs(count=90, labels=3):
    rng = np.random.default_rng(0)
    places = np.arange(count) % labels
    return unit_length(
        (np.eye(labels)[places] + rng.normal(scale=0.3, size=(count, labels))).astype("f4")
    ), places


@pytest.mark.parametrize("labels", [2, 3])
def test_one_head(labels):
    features, places = blobs(labels=labels)
    head = heads.fit_one(field_of(*range(labels + 1)), features, places, 10)
    assert (head.logits(features).argmax(axis=1) == places).mean() > 0.9
    assert head.weight.shape == (labels + 1, labels)
    assert np.isfinite(head.bias).all(), "a label without a sample is unlikely, not infinite"


def test_several_heads():
    features, places = blobs()
    flags = np.stack([places == 0, places != 1, np.ones(len(places), bool)], axis=1)
    head = heads.fit_several(field_of(*"abc"), features, flags, 30)
    assert ((head.logits(features) > 0) == flags).all(axis=1).mean() > 0.85


def test_the_tokens_of_a_copied_value():
    field = FieldHead(name="n", kind="copied", copied_as="upper")
    offsets = [(0, 0), (0, 3), (3, 5), (6, 7), (7, 8), (8, 10), (0, 0)]
    may = [[0, 1, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0]]
    marks = heads.marks_of(field, "order a-12", "A-12", offsets)
    assert marks.astype(int).tolist() == [*may, [0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0]]
    assert heads.marks_of(field, "order a-12", None, offsets).astype(int).tolist() == [*may, [0] * 7, [0] * 7]
    assert not heads.marks_of(field, "order a-12", "B-9", offsets).any(), "what is no piece teaches nothing"


def field_of(*labels):
    return FieldHead(name="", kind="one", labels=labels)


def test_grades_are_whole_numbers_next_to_each_other():
    assert heads.is_ordinal(field_of("3", "1", "2", "5"))
    assert heads.is_ordinal(field_of(0, 1, 2))
    others = [
        ("0", "1"),
        ("404", "500", "200"),
        ("1", "2", "x"),
        (True, False, 1),
        ("1.5", "2"),
        ("²", "1", "2"),
    ]
    for labels in others:
        assert not heads.is_ordinal(field_of(*labels))


def test_the_median_of_grades_is_where_half_of_the_probability_lies():
    field = field_of("2", "0", "1")
    shares = np.array([[0.45, 0.4, 0.15], [0.2, 0.6, 0.2], [0.6, 0.1, 0.3]])
    served = FieldHead(name="", kind="one", labels=field.labels, ordered=True)
    assert [served.labels[served.place(row)] for row in shares] == ["1", "0", "2"]
    plain = FieldHead(name="", kind="one", labels=field.labels)
    assert [plain.labels[plain.place(row)] for row in shares] == ["2", "0", "2"]


def test_what_is_like_nothing_that_was_taught_is_given_the_label_for_it():
    field = field_of("a", "b", "Out of scope")
    rng = np.random.default_rng(0)
    places = np.repeat([0, 1, 2], [100, 100, 6])
    logits = rng.normal(size=(206, 3))
    logits[np.arange(206), places] += 6
    logits[places == 2] = [0.5, 0.2, -1.0]  # few were taught, and nothing of them was learned
    made = heads.outside_of(field, logits, places)
    given = floored(logits, made).argmax(axis=1)
    assert (logits.argmax(axis=1)[-6:] == 0).all() and (given[-6:] == 2).all()
    assert made[0] == 2 and (given == places).sum() >= (logits.argmax(axis=1) == places).sum() - 1
    served = FieldHead(name="", kind="one", labels=field.labels, outside=made)
    assert (probabilities(served, logits.astype("f4")).argmax(axis=1) == given).all()
    assert heads.outside_of(field_of("a", "b", "c"), logits, places) is None
    assert (
        heads.outside_of(field_of("other", "b", "none"), logits, places) is None
    )  # which of the two is not said


def drawn(temperature, count=4000):
    """Logits of which the softmax at `temperature` says exactly how often each label is right."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 4)) * 3
    shares = softmax(logits / temperature, axis=1)
    return logits, np.array([rng.choice(4, p=row) for row in shares])


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_is_found(temperature):
    logits, right = drawn(temperature)
    assert heads.temperature_of(logits, right) == pytest.approx(temperature, rel=0.1)


def test_few_samples_that_are_all_right_make_nothing_certain():
    logits = np.eye(3) * 2
    sure = softmax(logits / heads.temperature_of(logits, np.arange(3)), axis=1).max(axis=1)
    assert sure.max() < 0.95


def test_a_set_is_as_likely_as_such_sets_were_right():
    """Labels that are right and wrong together: their product says far less than how often the set is right."""
    rng = np.random.default_rng(0)
    products = np.where(rng.random(400) < 0.5, 0.3, 0.01)
    right = rng.random(400) < np.where(products == 0.3, 0.9, 0.2)
    joint = heads.joint_of(products, right)
    assert of_the_set(0.3, joint) == pytest.approx(0.9, abs=0.06)
    assert of_the_set(0.01, joint) == pytest.approx(0.2, abs=0.06)
    assert of_the_set(0.3, None) == 0.3 and 0 < of_the_set(0.0, joint) < of_the_set(1.0, joint) < 1
    assert heads.joint_of(products, np.ones(400, bool)) is None, (
        "nothing was wrong: there is nothing to tell it by"
    )
