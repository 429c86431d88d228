import numpy as np
from tests.training.encoder.conftest import KINDS

from freehold.training.encoder import base as bases
from freehold.training.encoder.answers import FieldForm, TaughtForm
from freehold.training.encoder.prepared import Examples
from freehold.training.encoder.scene import features

EXAMPLES = Examples(list(KINDS.values()), [("x",)] * 3)
POOLED = np.zeros((3, 32), dtype="f4")


def form(kind):
    return TaughtForm(
        answer="json", fields=(FieldForm(name="n", kind=kind, labels=("x", "y"), counts=(2, 1)),)
    )


def test_tokens_are_embedded_where_a_field_is_copied(base_weights):
    base = bases.load(base_weights)
    made = features(base, EXAMPLES, POOLED, form("copied"), 32)
    assert [len(one) for one in made.tokens] == [len(row) for row in made.encoded.ids]
    assert features(base, EXAMPLES, POOLED, form("one"), 32).tokens == []
    assert features(None, EXAMPLES, POOLED, form("one"), 32).pooled is POOLED


def test_samples_a_label_are_a_mean():
    assert form("one").fewest == 1.5
