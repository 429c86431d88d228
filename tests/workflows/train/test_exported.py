"""An export takes its place in one step, or what was there stays; and what the records say of it."""

import stat
from pathlib import Path

import pytest
from tests.training.encoder.conftest import base_weights, label_samples, sample, write_dataset
from tests.workflows.train.owned import owned_encoder

from freehold.errors import StorageError, UsageError, WeightsError
from freehold.progress import Silent
from freehold.settings import load
from freehold.types.dataset import DataCard, Lengths, SplitProfile
from freehold.types.encoder import EncoderConfig
from freehold.workflows.train import encoder_export
from freehold.workflows.train.encoder import (
    ENGLISH_BASE,
    MULTILINGUAL_BASE,
    base_for,
    foreign_share,
    train_encoder,
)
from freehold.workflows.train.encoder_export import export_encoder
from freehold.workflows.train.exported import README, bytes_of, export_folder, hashes_of

__all__ = ["base_weights"]


def written(target, text):
    with export_folder(target) as folder:
        (folder / README).write_text(f"made by: freehold\n{text}")
        (folder / "part").mkdir()
        (folder / "part" / "a.bin").write_bytes(b"12")


def test_an_earlier_export_is_replaced_and_anything_else_left_alone(tmp_path):
    target = tmp_path / "made"
    written(target, "one")
    written(target, "two")
    assert "two" in (target / README).read_text()
    assert list(hashes_of(target)) == [README, "part/a.bin"]
    assert bytes_of(target) == 2 + (target / README).stat().st_size
    assert stat.S_IMODE((target / README).stat().st_mode) == 0o644
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="is not an export"):
        written(mine, "three")
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("fault", "told"), [(OSError(28, "No space left"), StorageError), (KeyError, KeyError)]
)
def test_what_fails_half_way_leaves_the_earlier_one(tmp_path, fault, told):
    target = tmp_path / "made"
    written(target, "one")
    with pytest.raises(told), export_folder(target) as folder:
        (folder / README).write_text("half")
        raise fault
    assert "one" in (target / README).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_the_folder_is_whole_and_its_card_says_what_the_records_say(project, monkeypatch):
    def gone(model, *arguments, **more):
        raise WeightsError(f"weights of {model} are not here")

    monkeypatch.setattr(encoder_export, "ensure_weights", gone)
    encoder = owned_encoder(project)
    made = export_encoder(project, encoder, progress=Silent())
    folder = Path(made.path)
    assert folder == project.root / "exports" / "support-abcdef01-encoder"
    assert set(made.files) == {
        "encoder.json",
        "heads.safetensors",
        "model.onnx",
        "student.pyz",
        "tokenizer.json",
    }
    assert made.notes == ("it cannot be tuned on from here: weights of test/tiny are not here",)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nbase_model: test/tiny\n")
    for words in ("one of `track`, `cancel`, `refund`, `other`", "37 of 40 samples left out right (92.5%)", "0.031",
                  "Ruling: **unclear**", encoder.id, made.usage,
                  "not been evaluated", "neither PyTorch nor an installed freehold"):  # fmt: skip
        assert words in card, words
    for name, digest in made.files.items():
        assert f"`{name}` sha256 `{digest}`" in card
    assert export_encoder(project, encoder, progress=Silent()).path == made.path


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
