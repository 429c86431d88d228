import msgspec
import pytest
from tests.report import sample_report as sample

from freehold.report.model_card import CardFacts, model_card
from freehold.types.report import Measured


def facts(**changed):
    candidate = sample.candidate()
    return CardFacts(
        **{
            "adapter": candidate.trained,
            "kind": "peft",
            "files": {"adapter_model.safetensors": "1" * 64},
            "usage": "freehold serve …",
            "app": "helpdesk",
            "version": "0.1.0",
            "dataset": sample.report().dataset,
            "ruling": candidate.ruling,
            "candidate": candidate,
            **changed,
        }
    )


def test_the_front_matter_is_what_hubs_read():
    front = model_card(facts()).split("---")[1].splitlines()
    assert front[1:] == [
        f"base_model: {sample.MODEL}",
        "base_model_relation: adapter",
        "library_name: peft",
        "pipeline_tag: text-generation",
        "license: apache-2.0",
        "tags:",
        "- freehold",
        "- lora",
    ]


@pytest.mark.parametrize(
    ("kind", "quantization", "relation", "library"),
    [
        ("merged", None, "finetune", "transformers"),
        ("gguf", "Q4_K_M", "quantized", "gguf"),
        ("gguf-adapter", None, "adapter", "gguf"),
        ("vllm", None, "finetune", "transformers"),
    ],
)
def test_an_export_is_named_as_what_it_is(kind, quantization, relation, library):
    card = model_card(facts(kind=kind, quantization=quantization))
    assert f"base_model_relation: {relation}\nlibrary_name: {library}\n" in card
    assert (f"{quantization} where the adapter changed them" in card) is (quantization is not None)


def test_several_licences_are_an_other_licence_by_name():
    ruling = msgspec.structs.replace(sample.candidate().ruling, licenses=("Apache-2.0", "Gemma"))
    assert "license: other\nlicense_name: Apache-2.0 + Gemma" in model_card(facts(ruling=ruling))


def test_what_it_was_made_from_is_named_with_its_hash():
    card = model_card(facts())
    assert "dataset `" + "e" * 32 in card
    assert "954 training answers were marked as right" in card
    assert "left out: 2 × same request again" in card
    assert "- `adapter_model.safetensors` sha256 `" + "1" * 64 in card
    assert "58 steps" in card
    assert "made by: freehold 0.1.0, peft" in card


def test_a_student_names_its_teacher():
    data = msgspec.structs.replace(
        sample.report().dataset, targets_from={"incumbent": 10}, incumbent_model="gpt-4o"
    )
    card = model_card(facts(dataset=data))
    assert "10 training answers are gpt-4o's own: its terms count" in card
    assert "- distilled from: gpt-4o" in card


def test_how_good_it_is_comes_with_its_interval():
    measured = Measured(n=246, mean=0.902, ci_low=0.86, ci_high=0.93, level=0.95, method="wilson")
    card = model_card(facts(candidate=sample.candidate(measured=measured)))
    assert "score on 246 held-out samples: 90.2% (95 % interval 86.0%, 93.0%)" in card
    assert "difference -4.1 points (95 % interval -7.5, -0.8), margin 3" in card
    assert "rented-1 on the same samples: 94.3%" in card
    assert "the base without it: 0.0% of 40" in card
    assert "verdict: hold" in card


@pytest.mark.parametrize(
    ("kind", "quantization", "said"),
    [
        ("gguf-adapter", None, None),
        ("peft", None, "The files in this folder give slightly other numbers"),
        ("merged", None, "The files in this folder give slightly other numbers"),
        ("gguf", "Q8_0", "The Q8_0 weights in this folder give slightly other numbers"),
    ],
)
def test_a_score_says_what_it_was_measured_on(kind, quantization, said):
    measured = Measured(n=246, mean=0.902, ci_low=0.86, ci_high=0.93, level=0.95, method="wilson")
    card = model_card(
        facts(kind=kind, quantization=quantization, candidate=sample.candidate(measured=measured))
    )
    assert ("These scores are of what was served" in card) is (said is not None)
    assert said is None or said in card


def test_what_is_not_known_is_said():
    card = model_card(facts(dataset=None, ruling=None, candidate=None))
    assert "manifest was not available" in card
    assert "No ruling was made." in card
    assert "It has not been evaluated on held-out samples." in card
    assert "license:" not in card


def test_duties_of_passing_it_on_are_kept_apart():
    own = sample.candidate().ruling
    given = msgspec.structs.replace(own, id="g" * 32, outcome="not_allowed")
    card = model_card(facts(passing_on=given))
    assert "Ruling: **allowed with obligations**" in card
    assert "Keep the NOTICE file when you pass it on.: “Built with it” (Apache-2.0, 4(d))" in card
    assert "If you give these files to others: **not allowed**." in card
    assert "If you give these files" not in model_card(facts(passing_on=own))
