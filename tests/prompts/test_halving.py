import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prompts.modelled import ASKED, TASK, SmallModel, samples

from freehold.prompts.forms import form_of
from freehold.prompts.halving import FEWEST, halve, requests, rounds
from freehold.prompts.measuring import SearchEndedError
from freehold.prompts.search import best
from freehold.prompts.variants import variants

WAYS = variants(ASKED, form_of(TASK, samples(30)))


@given(st.integers(1, 40), st.integers(1, 300))
def test_rounds_grow_to_all_samples(ways, count):
    sizes = rounds(ways, count)
    assert sizes == sorted(set(sizes)) and sizes[-1] == count
    assert sizes[0] >= min(FEWEST, count)


@given(st.integers(1, 8), st.integers(8, 200))
def test_no_more_is_asked_than_was_told(ways, count):
    model = SmallModel()
    halve(WAYS[:ways], samples(count), model)
    assert len(model.asked) <= requests(ways, count)
    assert len(model.asked) == len(set(model.asked)), "no sample is asked twice in one way"
    if ways == 8 and count >= 64:
        assert len(model.asked) < 0.75 * ways * count, "that is what halving is for"


def test_the_best_is_measured_on_all_samples_and_so_is_the_request_as_it_is_sent():
    trials, stopped = halve(WAYS, samples(64), SmallModel())
    assert stopped is None and [one.name for one in trials] == [one.name for one in WAYS]
    chosen = trials[best(trials)]
    assert chosen.name == "reminder", "the shortest that brings JSON"
    assert (chosen.samples, chosen.malformed, trials[0].samples, trials[0].malformed) == (64, 0, 64, 64)
    assert sum(one.complete for one in trials) <= 3


def test_nothing_is_changed_where_nothing_helps():
    def indifferent(preparation, some, *, name):
        return [one._replace(score=0.5, format_ok=True) for one in SmallModel()(preparation, some, name=name)]

    trials, _ = halve(WAYS, samples(32), indifferent)
    assert best(trials) == 0


def test_an_early_end_leaves_what_was_measured():
    model, asked = SmallModel(), []

    def short_of_money(preparation, some, *, name):
        asked.append(name)
        if len(asked) > 5:
            raise SearchEndedError("the budget: spent")
        return model(preparation, some, name=name)

    trials, stopped = halve(WAYS, samples(64), short_of_money)
    assert stopped == "the budget: spent" and len(trials) == 5
    assert best(trials) == 0, "what was measured on some samples only is not chosen"

    def nothing(preparation, some, *, name):
        raise SearchEndedError("the budget: spent")

    with pytest.raises(SearchEndedError):
        halve(WAYS, samples(64), nothing)
