"""Dropout by bytes keeps a mean, drops its share, and draws the same after the same seed."""

import pytest

torch = pytest.importorskip("torch")

from freehold.training.encoder.trainers import ByteDropout, seen_only, with_byte_dropout  # noqa: E402


def test_it_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(1)
    given = torch.ones(400, 500)
    made = ByteDropout(0.1)(given)
    assert float((made == 0).float().mean()) == pytest.approx(26 / 256, abs=0.004)
    assert float(made.mean()) == pytest.approx(1, abs=0.004)
    assert made.unique().tolist() == pytest.approx([0.0, 256 / 230])


def test_the_same_seed_draws_the_same_and_the_next_draw_is_another():
    drop, given = ByteDropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    first, second = drop(given), drop(given)
    torch.manual_seed(3)
    assert torch.equal(drop(given), first) and not torch.equal(first, second)


def test_nothing_is_dropped_where_nothing_learns():
    given = torch.randn(8, dtype=torch.bfloat16)
    assert ByteDropout(0.5).eval()(given) is given
    assert ByteDropout(0.0)(given) is given


def test_gradients_pass_where_values_did():
    torch.manual_seed(5)
    given = torch.ones(256, requires_grad=True)
    made = ByteDropout(0.5)(given)
    made.sum().backward()
    assert torch.equal(given.grad, made.detach())


def test_it_takes_the_place_of_every_dropout():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Dropout(0.3)))
    with_byte_dropout(model)
    assert model[1][0].p == 0.3 and isinstance(model[1][0], ByteDropout)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(50, 4)

    def get_input_embeddings(self):
        return self.words

    def set_input_embeddings(self, words):
        self.words = words


def test_what_is_seen_learns_and_the_rest_stays():
    model = Model()
    before = model.words.weight.detach().clone()
    whole = model.words
    with seen_only(model, [[3, 9], [9, 40]], [0]):
        assert torch.equal(model.words(torch.tensor([[40, 0]])), before[torch.tensor([[40, 0]])])
        assert sum(one.numel() for one in model.parameters()) == 4 * 4
        with torch.no_grad():
            model.words.weight += 1
    assert model.words is whole
    changed = (whole.weight.detach() != before).all(1).nonzero().ravel().tolist()
    assert changed == [0, 3, 9, 40]
    assert torch.equal(whole.weight.detach()[9], before[9] + 1)


def test_a_word_that_was_not_seen_is_an_error():
    model = Model()
    with seen_only(model, [[3]], [0]), pytest.raises(IndexError):
        model.words(torch.tensor([7]))


def test_all_words_are_back_after_a_failure():
    model = Model()
    whole = model.words
    with pytest.raises(ZeroDivisionError), seen_only(model, [[3]], [0]):
        raise ZeroDivisionError
    assert model.words is whole


def test_a_model_with_another_table_is_left_alone():
    model = Model()
    model.words = torch.nn.EmbeddingBag(5, 2)
    with seen_only(model, [[1]], [0]):
        assert isinstance(model.words, torch.nn.EmbeddingBag)
