import pytest

from freehold.errors import ConfigError
from freehold.evals.slicing import slice_values
from freehold.types.dataset import Message, Sample


def sample(text, gold=None, **metadata):
    return Sample(id=text, messages=(Message(role="user", content=text),), gold=gold, metadata=metadata)


def test_length_in_thirds():
    values = slice_values("length", [sample("x" * n) for n in (1, 2, 3, 10, 11, 12, 30, 31, 32)])
    assert [value.split()[0] for value in values] == ["short"] * 3 + ["medium"] * 3 + ["long"] * 3
    assert slice_values("length", [sample("x"), sample("y")]) == [None, None]


def test_gold_fields_labels_and_metadata():
    samples = [sample("a", '{"intent": "refund", "id": null}', vip=True), sample("b", "not json", vip=False)]
    assert slice_values("gold.intent", samples) == ["refund", None]
    assert slice_values("gold.id", samples) == ["null", None]
    assert slice_values("vip", samples) == ["true", "false"]
    assert slice_values("label", [sample("a", "yes"), sample("b", "y" * 99)]) == ["yes", None]


def test_an_unknown_slice_names_the_known_ones():
    with pytest.raises(ConfigError, match="slice vipp: no held-out sample has it") as raised:
        slice_values("vipp", [sample("a", vip=True)])
    assert "vip" in raised.value.hint
