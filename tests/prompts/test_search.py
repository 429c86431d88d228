"""Both halves together: what is plain first, then what is proposed."""

from tests.prompts.modelled import ASKED, SYSTEM, TASK, SmallModel, samples
from tests.prompts.test_reflection import GOOD, Proposer, block

from freehold.prompts.checks import Checks
from freehold.prompts.forms import form_of
from freehold.prompts.leaks import LeakCheck
from freehold.prompts.measuring import SearchEndedError
from freehold.prompts.search import Proposing, search
from freehold.prompts.variants import variants

TRAIN = samples(30, prefix="t")
WAYS = variants(ASKED, form_of(TASK, TRAIN))


def proposing(*replies, most=60):
    return Proposing(
        propose=Proposer(*replies),
        checks=Checks(SYSTEM, LeakCheck([("train", TRAIN)], [SYSTEM]), lambda text: None),
        train=TRAIN,
        most_proposals=most,
    )


def test_the_plain_ways_do_without_a_proposer():
    found = search(ASKED, WAYS, samples(32), SmallModel())
    assert found.trials[found.chosen].name == "reminder"
    assert (found.proposals, found.stopped) == ((), None)


def test_a_proposer_begins_where_the_plain_ways_ended():
    """Only "as sent" is tried before, so the model writes no JSON until the proposer tells it to."""
    scripted = proposing("no block", block("Be kind."), block(GOOD), block("Something else of JSON."))
    found = search(ASKED, WAYS[:1], samples(32), SmallModel(skill=9), scripted)
    best, before = found.trials[found.chosen], found.trials[0]
    assert (before.malformed_share, best.malformed_share) == (1.0, 0.0)
    assert best.preparation.system == GOOD
    assert 3 <= len(found.proposals) <= 60
    started = proposing(block(GOOD))
    search(ASKED, WAYS, samples(32), SmallModel(), started)
    text, _ = started.propose.asked[0]
    assert "Wrong" in text and "The form is wrong" not in text, "the reminder is there already"


def test_after_an_early_end_nothing_is_proposed():
    def poor(preparation, some, *, name):
        if name != "as sent":
            raise SearchEndedError("the budget: spent")
        return SmallModel()(preparation, some, name=name)

    scripted = proposing(block(GOOD))
    found = search(ASKED, WAYS, samples(32), poor, scripted)
    assert (found.chosen, found.stopped, scripted.propose.asked) == (0, "the budget: spent", [])
