from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.workflows.journey.harvest.parts import Asked
from freehold.workflows.journey.harvest.written import (
    critique_in,
    critiques_part,
    paraphrases_in,
    paraphrases_part,
    rubric_part,
    writer_of,
)

FINE_TUNE = "ft:gpt-4o-mini-2024-07-18:acme:inbox:Bq1"
ASKED = Asked(
    Endpoint(name="x", engine="remote", base_url="http://x"), FINE_TUNE, Task(name="t", scorer="label")
)


def samples(label, count):
    return [
        Sample(id=f"{label}{n}", messages=(Message(role="user", content=f"{label} {n}"),), gold=label)
        for n in range(count)
    ]


def test_a_fine_tune_s_base_writes_for_it():
    assert writer_of(FINE_TUNE) == "gpt-4o-mini-2024-07-18"
    assert writer_of("gpt-4o") == "gpt-4o"


def test_rare_classes_are_paraphrased_the_rarest_first():
    part = paraphrases_part(ASKED, [*samples("often", 30), *samples("seldom", 7), *samples("once", 1)])
    assert [ask.about for ask in part.asks] == ["once0", *(f"seldom{n}" for n in range(5))]
    assert {ask.model for ask in part.asks} == {"gpt-4o-mini-2024-07-18"}
    assert paraphrases_part(ASKED, samples("often", 30)).not_taken == "the answers are not classes"
    assert "at least 20" in paraphrases_part(ASKED, [*samples("a", 20), *samples("b", 20)]).not_taken


def test_an_answer_that_is_not_as_asked_for_is_not_made_into_one():
    assert paraphrases_in('Here: ["a", "a ", 3, "", "b"]') == ["a", "b"]
    assert paraphrases_in("I can't do that") == []
    ask = paraphrases_part(ASKED, [*samples("often", 30), *samples("once", 1)]).asks[0]
    graded = critique_in(ask, '```json\n{"score": 3, "critique": "half right"}\n```')
    assert (graded.score, graded.critique) == (3.0, "half right")
    assert critique_in(ask, '{"score": 300, "critique": "?"}').score is None
    plain = critique_in(ask, "it is wrong")
    assert (plain.score, plain.critique) == (None, "it is wrong")


def test_a_rubric_shows_right_answers_and_critiques_need_an_evaluation():
    (ask,) = rubric_part(ASKED, samples("refund", 30)).asks
    assert ask.body["messages"][1]["content"].count("# Right answer\nrefund") == 12
    assert critiques_part(ASKED, None).not_taken == "no candidate has been evaluated yet"
