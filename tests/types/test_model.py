import msgspec
import pytest
from tests.hardware.small_shapes import shape

from freehold.types.model import ExpertShape


@pytest.mark.parametrize(
    ("experts", "layers"),
    [
        (ExpertShape(count=8, per_token=2, ffn=4), [True] * 4),
        (ExpertShape(count=8, per_token=2, ffn=4, dense_layers=1), [False, True, True, True]),
        (ExpertShape(count=8, per_token=2, ffn=4, every=2, offset=1), [False, True, False, True]),
    ],
)
def test_experts_stand_where_the_pattern_says(experts, layers):
    assert [experts.at(layer) for layer in range(4)] == layers


def test_heads_and_widths_by_layer():
    mixed = shape(attention=("sliding", "full", "recurrent", "none"), full_head_dim=64)
    assert [mixed.head_dim_at(layer) for layer in range(2)] == [32, 64]
    assert [mixed.value_dim_at(layer) for layer in range(2)] == [32, 64]
    assert [mixed.kv_heads_at(layer) for layer in range(4)] == [2, 2, 0, 0]
    by_layer = msgspec.structs.replace(mixed, kv_heads_by_layer=(1, 4, 9, 9), value_head_dim=16)
    assert [by_layer.kv_heads_at(layer) for layer in range(4)] == [1, 4, 0, 0]
    assert (by_layer.value_dim, by_layer.value_dim_at(1), mixed.value_dim) == (16, 16, 32)
