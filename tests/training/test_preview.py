from tests.training.conftest import make_sample, task_samples

from freehold.training import preview
from freehold.training.formatting import format_samples
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message


def test_pieces_are_the_tokens_and_the_mask_of_training(tokenizer):
    samples = task_samples(3)
    shown = preview.preview_samples(tokenizer, samples, FinetuneConfig(), 2)
    trained = format_samples(tokenizer, samples, max_tokens=1024).samples
    assert [one.id for one in shown] == ["s0", "s1"]
    for one, encoded in zip(shown, trained, strict=False):
        assert tuple(id for piece in one.pieces for id in piece.ids) == encoded.ids
        mask = [piece.learned for piece in one.pieces for _ in piece.ids]
        assert tuple(mask) == encoded.mask and one.learned_tokens == sum(encoded.mask)
        assert "".join(piece.text for piece in one.pieces) == tokenizer.decode(list(encoded.ids))


def test_a_character_of_several_tokens_is_one_piece(tokenizer):
    (one,) = preview.preview_samples(tokenizer, [make_sample(1, "日本 📦", "好")], FinetuneConfig(), 1)
    texts = [piece.text for piece in one.pieces]
    assert "📦" in texts and "好" in texts and not any("�" in text for text in texts)


def test_samples_that_cannot_be_trained_on_are_passed_over_and_counted(tokenizer):
    long = make_sample(1, "where is my lamp " * 100, "order_status")
    empty = make_sample(2, "where is my lamp", " ")
    wrong = make_sample(3, "", "x", messages=(Message(role="assistant", content="hello"),))
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"order": '}}
    broken = make_sample(
        4, "", None, messages=(Message(role="user", content="x"),),
        completion=(Message(role="assistant", content=None, tool_calls=[call]),),
    )  # fmt: skip
    samples = [long, empty, wrong, broken, *task_samples(4)]
    config = FinetuneConfig(max_tokens=100, batch_size=4)
    assert [one.id for one in preview.preview_samples(tokenizer, samples, config, 1)] == ["s0"]
    found = preview.measure_split(tokenizer, samples, config, len(samples))
    assert (found.samples, found.looked_at, found.usable) == (8, 8, 4)
    assert found.left_out == {
        "over_long": 1,
        "empty_assistant": 1,
        "roles_out_of_order": 1,
        "broken_tool_call": 1,
    }
    assert found.longest_over > 100 >= found.longest_tokens >= found.median_tokens > found.shared_tokens > 0
    assert "find are not JSON" in found.first_left_out[-1].reason


def test_of_a_large_split_every_nth_is_looked_at(tokenizer, monkeypatch):
    monkeypatch.setattr(preview, "MOST_LOOKED_AT", 10)
    found = preview.measure_split(tokenizer, task_samples(45), FinetuneConfig(), 45)
    assert (found.samples, found.looked_at, found.usable) == (45, 9, 9)


def test_an_empty_split_has_no_lengths(tokenizer):
    found = preview.measure_split(tokenizer, [], FinetuneConfig(), 0)
    assert (found.usable, found.tokens, found.longest_tokens) == (0, 0, 0)


def test_words_of_a_sentencepiece_tokenizer_keep_their_spaces():
    """Its decoder takes the space from the front of what it is given: one by one, words ran together."""
    pieces = preview._pieces(spaced := sentencepiece(), ids := spaced_ids(spaced), [False] * len(ids))
    texts = [piece.text for piece in pieces]
    assert "".join(texts) == spaced.decode(ids) == "<s> where is my lamp 📦 order</s>"
    assert texts[0] == "<s>" and " lamp" in texts and "📦" in texts


def sentencepiece():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(special_tokens=special, vocab_size=330, show_progress=False)
    tokenizer.train_from_iterator(["where is my lamp order status"] * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>")


def spaced_ids(tokenizer):
    return [1, *tokenizer("where is my lamp 📦 order", add_special_tokens=False)["input_ids"], 2]
