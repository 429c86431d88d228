"""What two transcripts of the same prompts conclude."""

import json

import anyio
import msgspec
import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.engines.transcript import Transcript
from freehold.progress import Silent
from freehold.store import open_store
from freehold.training.reference import ReferenceScores
from freehold.types.dataset import Message, Sample
from freehold.types.encoder import EncoderManifest, FieldHead
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.types.gates import EncoderReference, ParityReport
from freehold.types.model import Weights
from freehold.workflows.project import open_project
from freehold.workflows.prove import parity as workflow
from freehold.workflows.prove.encoder_parity import compare as compare_of_encoder_parity_judging
from freehold.workflows.prove.encoder_parity import summarize as summarize_of_encoder_parity_judging
from freehold.workflows.prove.parity import score_parity
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
        id="s", prompt_ids=(1, 5, 6), prompt_tokens=("<bos>", "five", "six"), bos_id=1, answer_ids=(7, 8),
        logprobs=(-0.1, -0.3), base_logprobs=(), best_ids=(7, 8), ends=True,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def report(*pairs, has_adapter=False):
    items = [compare(a, b) for a, b in pairs]
    return summarize(items, ServedAs("m", "llamacpp", has_adapter=has_adapter))


def test_equal_sides_pass_and_other_prompt_ids_are_the_template():
    found = report((served(), trained()), (served(finish_reason="length"), trained()))
    assert found.passed and found.causes == ()
    assert (found.prompts_equal, found.token_agreement) == (2, 1.0)
    assert found.distance == pytest.approx(0.05)
    assert (found.stops_equal, found.stops) == (1, 1)
    assert found.check_result().ok is True
    found = report((served(prompt_ids=(1, 9, 6)), trained()))
    assert found.causes == ("template",)
    assert "token 1 (five trained, 9 served)" in found.reasons[0]
    assert (
        found.check_result().ok is False
        and "the served model does not answer as the trained one" in found.check_result().text
    )


@pytest.mark.parametrize(
    ("their_ids", "our_ids"), [((1, 1, 5, 6), (5, 6)), ((5, 6), (1, 5, 6)), ((1, 5, 6), (5, 6))]
)
def test_a_missing_or_doubled_bos_is_named(their_ids, our_ids):
    names = tuple(str(one) for one in our_ids)
    found = report((served(prompt_ids=their_ids), trained(prompt_ids=our_ids, prompt_tokens=names)))
    assert found.causes == ("bos",)


def test_an_adapter_that_is_not_on_or_of_another_scale_or_other_numbers_are_the_cause():
    other = report((served(prompt_ids=(9, 5, 8, 8)), trained(prompt_ids=(1, 5, 6))))
    assert other.causes == ("template",), "more than the first token differs"
    found = report(
        (served(), trained(logprobs=(-3.0, -4.0), base_logprobs=(-0.1, -0.2), best_ids=(1, 1))),
        has_adapter=True,
    )
    assert found.causes == ("adapter_not_applied",)
    found = report((served(), trained(logprobs=(-0.9, -1.0), base_logprobs=(-1.6, -1.7))), has_adapter=True)
    assert found.causes == ("adapter_scale",)
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


def test_turns_that_end_elsewhere_hold_once_there_are_enough():
    assert ends("xx").causes == ("stop",)
    assert "2 of 2 answers end where the trainer's model goes on" in ends("xx").reasons[0]
    assert ends("======x=" + "=x" * 6).causes == ("stop",)
    found = ends("===x====")
    assert found.passed and found.ends == "undecided"
    check = found.check_result()
    assert check.ok and check.text.endswith("where turns end is not decided (7 of 8 ends are equal)")
    assert undecided(found.items), "more prompts are asked"
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


@pytest.mark.parametrize(
    ("unlike", "asked", "ends"),
    [
        ((), 40, "enough"),
        ((3,), 80, "enough"),
        (range(7, 120, 18), 120, "undecided"),
        ((0, 1), 40, "too few"),
    ],
)
def test_prompts_are_asked_until_it_is_decided_where_turns_end(tmp_path, monkeypatch, unlike, asked, ends):
    """One of eight that ends elsewhere was a hold; now it asks for more."""
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    batches = []

    def both(project, plan, weights, adapter_path, samples, scored, progress):
        batches.append(len(samples))
        return [served()] * len(samples), [trained(ends=int(one.id) not in unlike) for one in samples]

    monkeypatch.setattr(workflow, "_both", both)
    project = open_project()
    report = workflow.parity(
        project,
        plan=ServePlan(engine="llamacpp", model="test/tiny", weights_path="/x.gguf"),
        weights=Weights(
            model_id="test/tiny", format="gguf", quantization="Q8_0", bytes=1, sha256="b" * 64, source="file:"
        ),
        adapter_path=None,
        samples=[Sample(id=str(n), messages=()) for n in range(workflow.MOST_PROMPTS)],
        progress=Silent(),
    )
    assert (sum(batches), report.prompts, report.ends) == (asked, asked, ends)
    assert report.passed == (ends != "too few")
    with open_store(project.store_url) as store:
        assert store.latest(ParityReport) == report


LABELS = Task(name="t", scorer="label", margin=0.02, alpha=0.025, options={"labels": ["a", "b"]})


def scores(pairs, gold="a"):
    """Score parity of (served, trained) texts that all have the same right answer."""
    samples = [
        Sample(id=str(n), messages=(Message(role="user", content="?"),), gold=gold) for n in range(len(pairs))
    ]
    ours = [served(text=one) for one, _ in pairs]
    theirs = [trained(own_text=other) for _, other in pairs]
    return anyio.run(score_parity, LABELS, samples, ours, theirs)


def test_answers_of_both_sides_are_scored_in_pairs_where_there_is_a_reference():
    found = scores([("a", "a")] * 9 + [("b", "a")])
    assert (found.n, found.served_mean, found.trained_mean) == (10, 0.9, 1.0)
    assert found.difference == pytest.approx(-0.1)
    assert found.ci_low < -0.1 < found.ci_high
    assert scores([("a", "a")], gold=None) is None
    assert scores([("a", None)]) is None


def test_a_score_that_fell_in_serving_fails():
    score = scores([("b", "a")] * 20)
    found = summarize(
        [compare(served(), trained())], ServedAs("m", "llamacpp", has_adapter=True), score=score
    )
    assert found.causes == ("score",)
    assert "fell from 100.0% to 0.0%" in found.reasons[0]


@pytest.mark.weights
@pytest.mark.timeout(400)
def test_the_real_model_is_served_as_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["parity", "--samples", "2", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0, found["reasons"]
    assert found["prompts_equal"] == 2
    assert found["token_agreement"] > 0.85, "of a few dozen tokens; near ties fall either way, by processor"
    assert 0 < found["distance"] < 0.15


FIELDS = (FieldHead(name="a", kind="one", labels=("x", "y")), FieldHead(name="b", kind="one", labels=(1, 2)))
MANIFEST = EncoderManifest(base_model="b", base_sha256="0", width=2, answer="json", fields=FIELDS)
TRAINED = EncoderReference(
    sample=Sample(id="s", messages=()), tokens=7, answer='{"a": "x", "b": 1}', probability=0.72
)


def item(**changes):
    return compare_of_encoder_parity_judging(MANIFEST, msgspec.structs.replace(TRAINED, **changes), TRAINED)


def report_of_encoder_parity_judging(*items):
    return summarize_of_encoder_parity_judging(items, model="m", adapter_id="e")


def test_equal_sides_pass_and_say_how_near_they_are():
    made = report_of_encoder_parity_judging(item(), item(probability=0.7211))
    assert made.passed and made.token_agreement == 1 and made.tokens == 4
    assert made.probability_distance == pytest.approx(0.0011)
    result = made.check_result()
    assert (
        result.ok
        and "the same 2 of 2 answers as the trained one; probabilities differ by at most 0.0011"
        in result.text
    )


def test_other_tokens_are_the_root():
    made = report_of_encoder_parity_judging(item(), item(tokens=9, probability=0.1))
    assert made.causes == ("template",) and "1 of 2 messages" in made.reasons[0]
    assert "7 tokens trained, 9 tokens served" in made.reasons[0]
    assert not made.check_result().ok


@pytest.mark.parametrize(
    "changes",
    [
        {"probability": 0.6},
        {"answer": '{"a": "y", "b": 1}'},
        {"answer": "nonsense"},
        {"answer": "[1]"},
    ],
)
def test_other_numbers_fail(changes):
    made = report_of_encoder_parity_judging(*[item() for _ in range(20)], item(**changes))
    assert made.causes == ("numbers",) and not made.passed


def test_one_near_tie_in_two_hundred_is_rounding_and_nothing_compared_is_not_a_pass():
    made = report_of_encoder_parity_judging(
        *[item() for _ in range(200)], item(answer='{"a": "y", "b": 1}', probability=0.721)
    )
    assert made.passed and made.token_agreement < 1
    assert not report_of_encoder_parity_judging().passed
