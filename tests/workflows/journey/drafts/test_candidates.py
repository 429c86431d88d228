"""What a log tells about the candidates of its project. The ladder itself: tests/workflows/journey/test_ladder.py."""

from freehold.types.config import DEFAULT_MODEL, CandidateConfig, parse
from freehold.workflows.journey.drafting import Guess
from freehold.workflows.journey.drafts.candidates import QuestionLanguages, named_lora, only_here, proposed
from freehold.workflows.journey.ladder import Rung
from freehold.workflows.train.encoder import MULTILINGUAL_BASE

LABELS = ["refund", "lamp"] * 150


def asked(languages, text, times):
    for _ in range(times):
        languages.add([{"role": "system", "content": "Sort it."}, {"role": "user", "content": text}])
    return languages


def test_the_language_of_the_questions_decides_which_encoder_is_proposed():
    english = asked(QuestionLanguages(), "Where is the parcel that I have ordered from you last week?", 50)
    assert english.foreign_share == 0
    german = asked(english, "Wo ist denn bitte das Paket, das ich letzte Woche bei Ihnen bestellt habe?", 50)
    assert german.foreign_share == 0.5
    (first, *_) = proposed(Guess("label", {}, ""), LABELS, german, 300)
    assert (first.candidate.model, first.candidate.method) == (MULTILINGUAL_BASE, "encoder")
    assert QuestionLanguages().foreign_share == 0, "of no question nothing is known"


def test_free_text_is_proposed_no_encoder():
    texts = [f"Thank you for letter {n}." for n in range(300)]
    rungs = proposed(Guess("exact", {}, ""), texts, QuestionLanguages(), 300)
    assert [one.candidate.method for one in rungs] == ["lora", "examples"]


def test_what_is_not_installed_is_a_remark():
    rungs = [
        Rung(CandidateConfig(model="a/b", method="encoder"), "why", "pip install 'freehold[encoder]'"),
        Rung(CandidateConfig(model="c/d", method="lora"), "why"),
    ]
    text = "\n".join(['[app]\nname = "a"', *only_here(rungs)])
    assert parse(text).candidates == (rungs[1].candidate,)
    assert "# left out: a/b · encoder, which needs pip install 'freehold[encoder]'" in text
    named = parse("\n".join(['[app]\nname = "a"', *named_lora([DEFAULT_MODEL, "a/b"])])).candidates
    assert [(one.model, one.method) for one in named] == [(DEFAULT_MODEL, "lora"), ("a/b", "lora")]
