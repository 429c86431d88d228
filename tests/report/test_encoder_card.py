"""The card of an encoder says what its record says, and what is not known."""

from freehold.report.encoder_card import EncoderCardFacts, encoder_card
from freehold.types.encoder import EncoderManifest, EncoderModel, FieldHead

FIELDS = (
    FieldHead(name="intent", kind="one", labels=tuple(f"l{n}" for n in range(30))),
    FieldHead(name="tones", kind="several", labels=("polite", "angry")),
    FieldHead(name="number", kind="copied", copied_as="upper"),
)


def card(**changes):
    manifest = EncoderManifest(
        base_model="org/base",
        base_sha256="b" * 64,
        width=8,
        answer="json",
        fields=FIELDS,
        prefix="query: ",
        **changes,
    )
    encoder = EncoderModel(
        id="e" * 32, name="support", path="/x", base_model="org/base", base_sha256="b" * 64, dataset_id="d" * 32,
        manifest=manifest, stage="tuned", seed=3, train_samples=1200, train_seconds=61.0, validation_right=0,
        validation_asked=0, calibration_error=None, peak_memory_bytes=3 << 30, files={}, versions={"torch": "2"},
        made_from=(),
    )  # fmt: skip
    facts = EncoderCardFacts(
        encoder=encoder,
        files={"a": "f" * 64},
        usage="python ask.py x",
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


def test_that_it_answers_whatever_is_asked_is_said():
    assert "It answers every message" in card()
