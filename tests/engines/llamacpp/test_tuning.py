"""Which of the measured settings is taken, and how they are described."""

import msgspec
import pytest

from freehold.engines.llamacpp import tuning
from freehold.engines.llamacpp.tuning import LlamaSettings, Trial


def settings_of(**changes):
    return msgspec.structs.replace(
        LlamaSettings(quantization="Q4_1", weights_path="/w", weights_sha256="a", threads=2), **changes
    )


def test_a_way_must_be_clearly_faster_than_the_first():
    def trial(seconds, agreement=None):
        return Trial(step="s", settings=settings_of(), seconds=seconds, agreement=agreement)

    assert tuning.choose([trial(1.0), trial(0.99)]) == 0
    assert tuning.choose([trial(1.0), trial(0.9), trial(0.8)]) == 2
    assert tuning.choose([trial(1.0), trial(0.9), trial(0.8, agreement=0.5)]) == 1
    with pytest.raises(ValueError, match="nothing"):
        tuning.choose([])


def test_ways_say_what_is_different():
    first = settings_of()
    assert settings_of(threads=1).describe(first) == "threads 1"
    assert tuning.with_options(first, micro_batch=256).describe(first) == "micro batch 256"
    assert first.describe(first) == "as before"
    assert "Q4_1" in first.describe()
    guess = tuning.with_options(first, speculative="ngram-simple", match_tokens=2, draft_tokens=6)
    assert guess.describe(first) == "guess by ngram-simple 2→6"


def test_the_id_follows_machine_and_model(monkeypatch):
    here = tuning.tuning_id("Org/M", cores=2)
    assert here == tuning.tuning_id("org/m", cores=2) != tuning.tuning_id("org/m", cores=4)
    monkeypatch.setattr(tuning, "cpu_name", lambda: "another")
    assert tuning.tuning_id("org/m", cores=2) != here
