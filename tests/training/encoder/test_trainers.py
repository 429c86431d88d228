"""An encoder that is tuned: its trainers, its groups and its passes."""

import numpy as np
import pytest
import torch
from tests.training.encoder.conftest import KINDS

from freehold.encoders.runner import unit_length
from freehold.training.encoder import base as bases
from freehold.training.encoder import heads
from freehold.training.encoder.answers import TaughtForm
from freehold.training.encoder.trainers import AnswerTrainer, ContrastTrainer, items_of, pairs_of
from freehold.types.config import FinetuneConfig
from freehold.types.encoder import FieldHead

CONFIG = FinetuneConfig(learning_rate=1e-3)
LABELS = TaughtForm(answer="label", fields=(FieldHead(name="", kind="one", labels=tuple(KINDS)),))
TEXTS = [f"{text} {n}" for n in range(4) for text in KINDS.values()]
PLACES = np.arange(12) % 3


@pytest.fixture
def base(base_weights):
    torch.set_num_threads(1)
    return bases.load(base_weights)


def test_an_answer_is_learned_by_the_encoder_too(base):
    rows = base.encode(TEXTS, 32).ids
    reader = bases.TorchReader(base, 32)
    before = reader.vectors(TEXTS)
    items = items_of(rows, [(int(place),) for place in PLACES])
    trainer = AnswerTrainer(base, LABELS, CONFIG)
    first = trainer.evaluate(items)
    for _ in range(12):
        trainer.step(items, 1e-3)
    last = trainer.evaluate(items)
    assert last.score == 1 > first.score
    assert last.loss < first.loss
    after = reader.vectors(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    # The heads as they are served answer as the trainer does.
    assert (trainer.heads()[0].logits(after).argmax(axis=1) == PLACES).all()


def test_a_text_before_is_learned_from_and_may_be_missing(base):
    same, before = base.encode(["hello"] * 12, 32).ids, base.encode(TEXTS, 32).ids
    items = [
        one._replace(context=(ids if place else [],))
        for one, ids, place in zip(
            items_of(same, [(int(place),) for place in PLACES]), before, PLACES, strict=True
        )
    ]
    trainer = AnswerTrainer(base, LABELS, CONFIG, 2)
    for _ in range(25):
        trainer.step(items, 1e-3)
    assert trainer.evaluate(items).score == 1
    assert trainer.heads()[0].weight.shape == (3, 2 * base.width)


def test_probabilities_of_labels_are_learned_as_well(base):
    rows = base.encode(TEXTS, 32).ids
    soft = [(np.eye(3, dtype="f4")[place] * 0.8 + 0.2 / 3,) for place in PLACES]
    trainer = AnswerTrainer(base, LABELS, CONFIG)
    for _ in range(12):
        trainer.step(items_of(rows, soft), 1e-3)
    assert trainer.evaluate(items_of(rows, [(int(place),) for place in PLACES])).score == 1


def test_lists_and_copies_are_learned_together(base):
    form = TaughtForm(
        answer="json",
        fields=(
            FieldHead(name="tags", kind="several", labels=("a", "b")),
            FieldHead(name="n", kind="copied"),
        ),
    )
    encoded = base.encode(TEXTS, 32)
    targets = []
    for at, text in enumerate(TEXTS):
        marks = heads.marks_of(form.fields[1], text, text[-1], encoded.spans[at])
        targets.append((np.array([at % 3 == 0, at % 3 == 1]), marks if at else np.zeros_like(marks)))
    items = items_of(encoded.ids, targets)
    trainer = AnswerTrainer(base, form, CONFIG)
    first = trainer.evaluate(items).loss
    for _ in range(40):
        trainer.step(items, 2e-3)
    last = trainer.evaluate(items)
    assert last.score == 1
    assert last.loss < first


def test_texts_of_one_answer_come_together(base):
    rows = base.encode(TEXTS, 32).ids

    def apart():
        unit = unit_length(bases.TorchReader(base, 32).vectors(TEXTS))
        alike = unit @ unit.T
        same = PLACES[:, None] == PLACES[None, :]
        return alike[same].mean() - alike[~same].mean()

    words = base.model.get_input_embeddings().weight.detach().clone()
    trainer = ContrastTrainer(base, CONFIG)
    before = apart()
    for at in range(10):
        trainer.step(pairs_of(rows, PLACES, 6, at), 5e-4)
    assert apart() > before + 0.1
    assert torch.equal(words, base.model.get_input_embeddings().weight)
