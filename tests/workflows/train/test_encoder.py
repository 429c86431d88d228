import pytest
from tests.training.encoder.conftest import base_weights, label_samples, sample, write_dataset

from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.settings import load
from freehold.types.dataset import DataCard, Lengths, SplitProfile
from freehold.types.encoder import EncoderConfig
from freehold.workflows.train.encoder import (
    ENGLISH_BASE,
    MULTILINGUAL_BASE,
    base_for,
    foreign_share,
    train_encoder,
)

__all__ = ["base_weights"]


class Heard(Silent):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def train(tmp_path, base, samples, progress=None):
    return train_encoder(
        config=EncoderConfig(stage="frozen"),
        dataset=write_dataset(tmp_path / "data", samples),
        base=base,
        out_dir=tmp_path / "out",
        name="shop",
        settings=load({"FREEHOLD_HOME": str(tmp_path)}),
        progress=progress or Silent(),
    )


@pytest.mark.process
@pytest.mark.timeout(600)
def test_a_child_process_trains_it_once(tmp_path, base_weights):
    heard = Heard()
    made = train(tmp_path, base_weights, label_samples(60), heard)
    assert made.validation_asked == 60
    assert any(line.startswith("frozen: ") for line in heard.said)
    assert train(tmp_path, base_weights, label_samples(60), heard) == made
    assert heard.said[-1].startswith("encoder shop is there already")


def test_what_cannot_be_taught_is_refused_without_a_process(tmp_path, base_weights):
    with pytest.raises(UsageError, match="same answer"):
        train(tmp_path, base_weights, [sample(n, f"text {n}", "same") for n in range(9)])
    assert not (tmp_path / "out").exists()


def card(languages):
    empty = Lengths(median=0, p95=0, longest=0)
    profile = SplitProfile(samples=9, question_characters=empty, answer_characters=empty, languages=languages)
    return DataCard(
        dataset_id="d", name="n", splits={"train": profile}, origins=(), first_at=None, last_at=None,
        personal_data="off", replaced={}, near_duplicates=None, left_out={}, label_conflicts=0,
        first_conflicts=(), targets_from={},
        incumbent_model=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("languages", "base"),
    [
        ({"en": 95, "de": 5, "short": 900}, ENGLISH_BASE),
        ({"en": 80, "de": 20}, MULTILINGUAL_BASE),
        ({}, ENGLISH_BASE),
    ],
)
def test_the_base_knows_the_languages_of_the_traffic(languages, base):
    assert base_for(foreign_share(card(languages))) == base
    assert base_for(foreign_share(None)) == ENGLISH_BASE
