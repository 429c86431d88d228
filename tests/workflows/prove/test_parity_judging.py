"""What two transcripts of the same prompts conclude."""

import msgspec
import pytest

from freehold.engines.transcript import Transcript
from freehold.training.reference import ReferenceScores
from freehold.workflows.prove.parity_judging import ENDS, ServedAs, compare, summarize, undecided


def served(**changes):
    base = Transcript(
        prompt_ids=(1, 5, 6),
        prompt_tokens=3,
        text="a b",
        answer_ids=(7, 8, 2),
        logprobs=(-0.1, -0.2, -0.01),
        finish_reason="stop",
    )
    return msgspec.structs.replace(base, **changes)


def trained(**changes):
    base = ReferenceScores(
        id="s",
        prompt_ids=(1, 5, 6),
        prompt_tokens=("<bos>", "five", "six"),
        bos_id=1,
        answer_ids=(7, 8),
        logprobs=(-0.1, -0.3),
        base_logprobs=(),
        best_ids=(7, 8),
        ends=True,
    )
    return msgspec.structs.replace(base, **changes)


def report(*pairs, has_adapter=False):
    items = [compare(a, b) for a, b in pairs]
    return summarize(items, ServedAs("m", "llamacpp", has_adapter=has_adapter))


def test_equal_sides_pass():
    found = report((served(), trained()), (served(finish_reason="length"), trained()))
    assert found.passed and found.causes == ()
    assert (found.prompts_equal, found.token_agreement) == (2, 1.0)
    assert found.distance == pytest.approx(0.05)
    assert (found.stops_equal, found.stops) == (1, 1)
    assert found.check_result().ok is True


def test_other_prompt_ids_are_the_template():
    found = report((served(prompt_ids=(1, 9, 6)), trained()))
    assert found.causes == ("template",)
    assert "token 1 (five trained, 9 served)" in found.reasons[0]
    assert found.check_result().ok is False and "not served as trained" in found.check_result().text


@pytest.mark.parametrize(
    ("their_ids", "our_ids"), [((1, 1, 5, 6), (5, 6)), ((5, 6), (1, 5, 6)), ((1, 5, 6), (5, 6))]
)
def test_a_missing_or_doubled_bos_is_named(their_ids, our_ids):
    names = tuple(str(one) for one in our_ids)
    found = report((served(prompt_ids=their_ids), trained(prompt_ids=our_ids, prompt_tokens=names)))
    assert found.causes == ("bos",)


def test_a_template_without_the_token_that_begins_the_other_is_a_template():
    other = report((served(prompt_ids=(9, 5, 8, 8)), trained(prompt_ids=(1, 5, 6))))
    assert other.causes == ("template",), "more than the first token differs"


def test_an_adapter_that_is_not_on():
    found = report(
        (served(), trained(logprobs=(-3.0, -4.0), base_logprobs=(-0.1, -0.2), best_ids=(1, 1))),
        has_adapter=True,
    )
    assert found.causes == ("adapter_not_applied",)


def test_an_adapter_of_the_wrong_scale_lies_between():
    found = report((served(), trained(logprobs=(-0.9, -1.0), base_logprobs=(-1.6, -1.7))), has_adapter=True)
    assert found.causes == ("adapter_scale",)


def test_other_numbers():
    assert report((served(), trained(logprobs=(-0.5, -0.9)))).causes == ("numbers",)
    disagree = [(served(), trained(best_ids=(7, 1)))] * 10
    assert report(*disagree).causes == ("numbers",), "half of twenty tokens"


def test_a_few_near_ties_are_no_other_numbers():
    same, tie = (served(), trained()), (served(), trained(best_ids=(7, 1)))
    assert report(*[same] * 32, *[tie] * 5).passed, "69 of 74, measured with equal weights"
    assert report(*[same] * 32, *[tie] * 9).causes == ("numbers",), "73 of 82 is not chance"
    untold = (served(logprobs=None), trained(best_ids=(7, 1)))
    assert report(*[same] * 32, *[tie] * 4, untold).passed
    silent = (served(logprobs=None), trained())
    assert report(*[silent] * 32, *[untold] * 5).causes == ("numbers",), "nothing else speaks for them"


def ends(text):
    """A report of turns that end in the same place (=) or elsewhere (x)."""
    return report(*[(served(), trained(ends=one == "=")) for one in text])


def test_turns_that_end_elsewhere():
    assert ends("xx").causes == ("stop",)
    assert "2 of 2 answers end where the trainer's model goes on" in ends("xx").reasons[0]
    assert ends("======x=" + "=x" * 6).causes == ("stop",)


def test_one_turn_of_eight_that_ends_elsewhere_is_no_hold_and_no_proof():
    found = ends("===x====")
    assert found.passed and found.ends == "undecided"
    check = found.check_result()
    assert check.ok and check.text.endswith("where turns end is not decided (7 of 8 ends are equal)")
    assert undecided(found.items), "more prompts are asked"


def test_enough_turns_decide():
    assert ENDS.fewest == 36
    assert ends("=" * 35).ends == "undecided" and ends("=" * 36).ends == "enough"
    assert (
        ends("=" * 8 + "x" + "=" * 40).ends == "undecided" and ends("=" * 8 + "x" + "=" * 47).ends == "enough"
    )
    assert not undecided(ends("=" * 36).items) and ends("=" * 36).check_result().text.endswith("tokens agree")


def test_a_call_that_the_engine_read_says_nothing_of_where_it_ended():
    call = served(text="", answer_ids=None, logprobs=None, finish_reason="tool_calls", called=True)
    nothing = trained(answer_ids=(), logprobs=(), best_ids=(), ends=False)
    assert compare(call, nothing).stops is None and not compare(call, nothing).silent
    assert compare(served(finish_reason="tool_calls", called=True), trained()).stops is True


def test_calls_that_both_sides_keep_to_themselves_are_no_parity():
    """A template that writes no calls teaches silence: served as trained, and useless."""
    nothing = served(answer_ids=(), logprobs=None, text=""), trained(answer_ids=(), logprobs=(), best_ids=())
    silent = compare(*nothing, wants_call=True)
    words = compare(served(), trained())
    as_served = ServedAs("m", "llamacpp")
    found = summarize(
        [words] * 40 + [silent] * 3 + [compare(served(), trained(), wants_call=True)] * 2, as_served
    )
    assert found.causes == ("template",)
    assert "3 of 5 answers to prompts that want a tool call are empty" in found.reasons[0]
    assert summarize([words] * 40 + [compare(*nothing)] * 3, as_served).passed, "a few empty answers"
