import pytest

from freehold.errors import ConfigError
from freehold.types.config import DeferConfig
from freehold.types.dataset import Message, Sample
from freehold.workflows.journey.mixing.slices import check, declared


def sample(number, **metadata):
    return Sample(id=str(number), messages=(Message(role="user", content="q"),), metadata=metadata)


SAMPLES = [sample(0, team="legal", tier=1, vip=True), sample(1, team="sales", tier=2), sample(2)]


@pytest.mark.parametrize(
    ("conditions", "met"),
    [
        (({"team": "legal"},), [True, False, False]),
        (({"team": "legal", "tier": "2"},), [False, False, False]),
        (({"team": "legal"}, {"tier": "2"}), [True, True, False]),
        (({"vip": "true"},), [True, False, False]),
        (({"team": "legal", "key": "web"},), [False, False, False]),
        (({"header:x-tier": "gold"}, {}), [False, False, False]),
        ((), [False, False, False]),
    ],
)
def test_all_parts_of_one_condition_hold(conditions, met):
    assert declared(conditions, SAMPLES).tolist() == met


def test_what_samples_cannot_know_is_told():
    (note,) = check(DeferConfig(always_incumbent=({"header:x-tier": "gold"},)), SAMPLES)
    assert "samples carry neither headers nor keys" in note


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"always_incumbent": ({},)}, "met by every request"),
        ({"never_defer_out": ({"tame": "legal"},)}, "no sample has the field 'tame'"),
        (
            {"always_incumbent": ({"team": "legal"},), "never_defer_out": ({"tier": "1"},)},
            "1 samples are declared as always_incumbent and as never_defer_out",
        ),
    ],
)
def test_what_cannot_be_is_an_error(config, said):
    with pytest.raises(ConfigError, match=said):
        check(DeferConfig(**config), SAMPLES)


def test_a_field_whose_name_begins_like_a_keys_is_a_field():
    known = [sample(0, keyword="tax"), sample(1, keyword="bill")]
    config = DeferConfig(always_incumbent=({"keyword": "tax"},))
    assert check(config, known) == []
    assert declared(config.always_incumbent, known).tolist() == [True, False]
