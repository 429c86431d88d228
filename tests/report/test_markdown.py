"""What is written as Markdown: reports, comparisons, and cards of models and encoders."""

import re

import msgspec
import pytest
from tests.report import sample_report as sample
from tests.report.sample_full import SECRET, full, hostile, private
from tests.report.sample_report import comparison

from freehold.report import render, render_markdown, shareable
from freehold.report.first_screen import baseline
from freehold.report.markdown import comparison_markdown
from freehold.report.model_card import CardFacts, EncoderCardFacts, encoder_card, model_card
from freehold.report.page import records_of
from freehold.report.words import points
from freehold.types.encoder import EncoderManifest, EncoderModel, FieldHead, StageResult
from freehold.types.evaluation import SliceResult
from freehold.types.report import Measured


def test_it_says_what_the_first_screen_says():
    text = render_markdown(full())
    assert text.startswith("# helpdesk: Not proven yet\n")
    assert "4\\.1" not in text and "4.1 points lower than rented" in text.replace("\\", "")
    for wanted in ("What next", "freehold import FILE --held-out", "What would change it", "14 January 2027"):
        assert wanted in text.replace("\\", ""), wanted
    assert "| What does it cost? | **Less than renting**" in text
    assert "Of 246 pairs the candidate lost 16 and won 6." in text
    assert "`" + "c" * 32 + "`" in text


def test_words_of_strangers_are_shown_and_do_nothing():
    text = render_markdown(hostile())
    assert "\x1b" not in text and "\u202e" not in text and "\u0301" * 9 not in text
    unescaped = re.sub(r"\\.", "", text)
    assert "<script" not in unescaped and "](javascript" not in unescaped and "**bold**" not in unescaped
    assert not re.search(r"^# Title", text, re.MULTILINE)
    assert len(text) < 200_000


def slice_of(name, **changes):
    values = {
        "name": name, "n": 40, "difference": -0.1, "ci_low": -0.2, "ci_high": 0.0, "p_harm": 0.01,
        "p_harm_adjusted": 0.02, "harmed": True,
    }  # fmt: skip
    return SliceResult(**{**values, **changes})


def test_a_verdict_says_what_was_decided_and_on_what():
    made = comparison(verdict="hold", needed_n=1234, unscored={"candidate": 3, "incumbent": 0}, look=None)
    text = comparison_markdown(made)
    assert text.startswith("### ? Hold: not proven yet\n")
    assert f"`{made.candidate}` against `{made.incumbent}`" in text
    assert f"| {points(made.difference)} points (" in text and f"margin {100 * made.margin:g} points" in text
    assert "| would settle it | about 1,234 held-out items |" in text
    assert "| unscored | 3 candidate |" in text


def test_names_of_strangers_neither_tell_people_nor_refer_nor_write_markup():
    hostile = "@everyone #12 <img src=x> | [a](javascript:1) `b` &#64;all\n# Title"
    made = comparison(
        candidate=hostile, notes=(f"Left out: {hostile}",), slices=(slice_of(hostile), slice_of("team=red"))
    )
    text = comparison_markdown(made)
    outside = re.sub(r"`[^`\n]*`", "", text)  # what stands in code spans is inert
    told = outside.replace("&#8203;", "·").replace("\\", "")  # a space without width, which ends a mention
    assert "@everyone" not in told and not re.search(r"#\d", told)
    assert "<img" not in re.sub(r"\\.", "", outside)
    assert "&#64;" not in outside
    assert not re.search(r"^# Title", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


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


def test_what_it_was_made_from_is_named_with_its_hash():
    assert "- personal data: looked for" in model_card(facts(data=("personal data: looked for by patterns",)))
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


def test_duties_of_passing_it_on_are_kept_apart():
    own = sample.candidate().ruling
    given = msgspec.structs.replace(own, id="g" * 32, outcome="not_allowed")
    card = model_card(facts(passing_on=given))
    assert "Ruling: **allowed with obligations**" in card
    assert "Keep the NOTICE file when you pass it on.: “Built with it” (Apache-2.0, 4(d))" in card
    assert "If you give these files to others: **not allowed**." in card
    assert "If you give these files" not in model_card(facts(passing_on=own))


FIELDS = (
    FieldHead(name="intent", kind="one", labels=tuple(f"l{n}" for n in range(30))),
    FieldHead(name="tones", kind="several", labels=("polite", "angry")),
    FieldHead(name="number", kind="copied", copied_as="upper"),
)


def test_what_an_encoder_has_over_words_alone_is_said():
    stages = tuple(
        StageResult(stage=stage, right=right, asked=400, seconds=9.0)
        for stage, right in (("words", 352), ("frozen", 370), ("tuned", 378))
    )
    encoder = msgspec.structs.replace(encoder_of(), stages=stages, validation_right=378, validation_asked=400)
    lead = sample.candidate(encoder=encoder)
    for text in (render_markdown(sample.report(lead)).replace("\\", ""), render(sample.report(lead))):
        assert (
            "94.5% of 400 samples left out; words alone, tf-idf and a linear head, have 88.0%: +6.5 points"
            in text
        )
    assert baseline(sample.candidate()) is None
    assert baseline(sample.candidate(encoder=encoder_of())) is None


def encoder_of(**changes):
    manifest = EncoderManifest(
        base_model="org/base",
        base_sha256="b" * 64,
        width=8,
        answer="json",
        fields=FIELDS,
        prefix="query: ",
        **changes,
    )
    return EncoderModel(
        id="e" * 32, name="support", path="/x", base_model="org/base", base_sha256="b" * 64, dataset_id="d" * 32,
        manifest=manifest, stage="tuned", seed=3, train_samples=1200, train_seconds=61.0, validation_right=0,
        validation_asked=0, calibration_error=None, peak_memory_bytes=3 << 30, files={}, versions={"torch": "2"},
        made_from=(),
    )  # fmt: skip


def card(**changes):
    facts = EncoderCardFacts(
        encoder=encoder_of(**changes),
        files={"a": "f" * 64},
        usage="python student.pyz x",
        libraries="numpy",
        app="shop",
        version="1",
    )
    return encoder_card(facts)


def test_fields_making_and_lineage_are_said():
    text = card()
    for words in (
        "`intent`: one of `l0`", "and 10 more", "`tones`: any of `polite`, `angry`", "`number`: copied", "(upper)",
        "all weights and the heads together", "1,200 samples in 61 s, 3.0 GiB at the peak, seed 3",
        "behind the prefix `query: `", "too few samples to validate", "No ruling was made", "org/base",
    ):  # fmt: skip
        assert words in text, words


PIECES = [SECRET[start : start + 12] for start in range(0, len(SECRET) - 12, 4)]


def outputs(report):
    return {
        "html": render(report),
        "markdown": render_markdown(report),
        "json": msgspec.json.encode(report).decode(),
    }


def test_figures_and_ids_stay():
    before, after = private(), shareable(private())
    kept, shared = before.candidates[0], after.candidates[0]
    assert after.is_shared and after.id == before.id
    assert [(kind, record.id) for kind, record in records_of(kept)] == [
        (kind, record.id) for kind, record in records_of(shared)
    ]
    numbers = ("n", "difference", "ci_low", "ci_high", "incumbent_mean", "candidate_mean", "a_only", "b_only")
    assert all(getattr(kept.comparison, one) == getattr(shared.comparison, one) for one in numbers)
    assert [part.difference for part in kept.comparison.slices] == [
        part.difference for part in shared.comparison.slices
    ]
    assert shared.regressions.by_cause == kept.regressions.by_cause
    assert list(shared.regressions.by_field.values()) == list(kept.regressions.by_field.values())
    assert shared.comparison.unscored == {"other reasons": 2}
    for record_id in re.findall(r"\b[0-9a-f]{32}\b", render(before)):
        assert record_id in render(after)


def test_the_page_says_that_it_was_made_to_be_shared_and_twice_is_once():
    assert "customers&#39; words are left out" in render(shareable(full())) or "words are left out" in render(
        shareable(full())
    )
    assert shareable(shareable(full())) == shareable(full())


def test_nothing_a_customer_wrote_or_of_this_machine_is_in_what_is_shared():
    for name, text in outputs(private()).items():
        assert any(piece in text for piece in PIECES), name
    for name, text in outputs(shareable(private())).items():
        assert [piece for piece in PIECES if piece in text] == [], name
    text = msgspec.json.encode(shareable(full(endpoint_url="http://10.0.0.7:8080"))).decode()
    assert "10.0.0.7" not in text and "datasets/e" not in text and "adapters/x" not in text
