from freehold.training.encoder.card import card_of
from freehold.types.encoder import EncoderManifest, EncoderModel, FieldHead


def made(**changes):
    manifest = EncoderManifest(
        base_model="org/base", base_sha256="b", width=4, answer="json", min_confidence=changes.pop("scope", None),
        fields=(FieldHead(name="intent", kind="one", labels=("a", "b")),
                FieldHead(name="order", kind="copied", copied_as="digits")),
    )  # fmt: skip
    return EncoderModel(
        **{
            "id": "e", "name": "shop", "path": "/x", "base_model": "org/base", "base_sha256": "b", "dataset_id": "d",
            "manifest": manifest, "stage": "tuned", "seed": 0, "train_samples": 1200, "train_seconds": 9.0,
            "validation_right": 45, "validation_asked": 50, "calibration_error": 0.021, "peak_memory_bytes": None,
            "files": {}, "versions": {"torch": "2"}, "made_from": (), **changes,
        }
    )  # fmt: skip


def test_the_card_says_what_it_is_and_how_good():
    card = card_of(made())
    assert "base_model: org/base" in card
    assert "taught to answer from closed sets by 1,200 samples" in card
    assert "- intent: one of 2 labels" in card
    assert "- order: copied from the message (digits)" in card
    assert "45 of 50 validation samples right; expected calibration error 0.021" in card
    assert "out of scope" not in card


def test_what_was_not_measured_is_not_said():
    card = card_of(made(validation_right=0, validation_asked=0, calibration_error=None, scope=0.25))
    assert "not validated: there were too few samples" in card
    assert "Below a confidence of 0.250 a message is out of scope." in card
    assert "each by heads that did not see it" in card_of(made(by_folds=True))
