import torch

from freehold.training.encoder import base as bases
from freehold.training.encoder import tuned
from freehold.training.encoder.answers import form_of, targets_of


def form(answers):
    return form_of(answers, [""] * len(answers))


def test_groups_are_labels_where_there_is_one_field():
    made = form(["a", "b", "b"] * 3)
    values = [targets_of(made, answer) for answer in ("b", "a", "b")]
    assert tuned.groups_of(made, values).tolist() == [0, 1, 0]
    assert made.can_contrast


def test_groups_are_combinations_where_there_are_several():
    answers = [f'{{"a": "{a}", "b": "{b}"}}' for a in "xy" for b in "uv"] * 3
    made = form(answers)
    groups = tuned.groups_of(made, [targets_of(made, answer) for answer in answers])
    assert len(set(groups.tolist())) == 4
    assert groups[0] == groups[4]


def test_lists_alone_have_no_groups():
    assert not form(['["a"]', '["b", "a"]'] * 5).can_contrast


def test_weights_go_a_part_of_the_way(base_weights):
    base = bases.load(base_weights)
    before = {name: one.clone() for name, one in base.model.state_dict().items()}
    with torch.no_grad():
        for one in base.model.parameters():
            one.add_(1.0)
    tuned._move_back(base, before)
    for name, one in base.model.named_parameters():
        assert torch.allclose(one, before[name] + tuned.KEPT_SHARE, atol=1e-5)


def test_few_labels_with_many_messages_each_are_learned_in_fewer_passes():
    few = form([f"label{at}" for at in range(7)] * 3)
    many = form([f"label{at}" for at in range(77)] * 3)
    assert tuned.passes_of(few, 13_784) == 2
    assert tuned.passes_of(many, 13_784) == 3
    assert tuned.passes_of(few, 1_000) == tuned.passes_of(many, 1_000) == 8
    assert tuned.passes_of(many, 10_003) == 5
    assert tuned.passes_of(many, 100_000) == 3
    names = [f"Ann{at}" for at in range(200)]
    copied = form_of([f'{{"name": "{name}"}}' for name in names], [f"I am {name}" for name in names])
    assert [field.kind for field in copied.fields] == ["copied"]
    assert tuned.passes_of(copied, 13_784) == 3
