import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.scorers import make


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("card_arrival", 1.0),
        (' "Card Arrival".\n', 1.0),
        ("card-arrival", 1.0),
        ("ＣＡＲＤ arrival", 1.0),
        ("card arrivals", 0.0),
        ("my card_arrival", 0.0),
    ],
)
def test_label_ignores_what_is_not_meaning(answer, right):
    assert value("label", answer, "card_arrival") == right
    assert value("label", answer, "card_arrival", labels=["card_arrival", "top_up"]) == right


def test_label_apart_from_the_known_ones_is_a_format_failure():
    given = score("label", "banana", "yes", labels=["yes", "no"])
    assert (given.value, given.format_ok, given.reason) == (0.0, False, "no_label: banana")
    given = score("label", "no", "yes", labels=["yes", "no"])
    assert (given.value, given.format_ok, given.reason) == (0.0, True, "wrong_label: no")
    assert not score("label", "  ", "yes").format_ok


def test_label_aliases_and_anywhere():
    options = {"labels": ["positive", "negative"], "aliases": {"pos": "positive"}, "anywhere": True}
    assert value("label", "POS", "positive", **options) == 1.0
    assert value("label", "I'd say: Positive, clearly.", "positive", **options) == 1.0
    assert value("label", "positive or negative", "positive", **options) == 0.0
    assert value("label", "unpositively", "positive", **options) == 0.0
    assert value("label", "positive", "pos", **options) == 1.0


def test_label_whose_reference_is_no_label_is_unscored():
    given = score("label", "yes", "maybe", labels=["yes", "no"])
    assert given.value is None
    assert given.reason.startswith("reference_not_a_label")


def test_labels_that_normalise_to_one_are_refused():
    with pytest.raises(ConfigError, match="same label"):
        make("label", {"labels": ["card-lost", "Card Lost"]})
    with pytest.raises(ConfigError, match="not among the labels"):
        make("label", {"labels": ["a"], "aliases": {"x": "b"}})
