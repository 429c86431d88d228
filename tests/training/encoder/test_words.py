"""Only the words that are seen are trained; all are there afterwards."""

import pytest

torch = pytest.importorskip("torch")

from freehold.training.encoder.modules import seen_only  # noqa: E402


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
