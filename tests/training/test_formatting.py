"""Samples as the tokens and the mask of training, and a look at them before."""

import pytest
from tests.training.conftest import make_sample, task_samples

from freehold.training import preview
from freehold.training.formatting import format_samples
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message

QUESTION = Message(role="user", content="x")


def encode(tokenizer, sample, max_tokens=512):
    return format_samples(tokenizer, [sample], max_tokens=max_tokens)


def test_prompt_ids_are_those_a_server_computes(tokenizer):
    sample = make_sample(1, "where is my lamp", "order_status")
    (one,) = encode(tokenizer, sample).samples
    messages = [{"role": m.role, "content": m.content} for m in sample.messages]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    assert list(one.ids[: len(prompt)]) == list(prompt)
    assert not any(one.mask[: len(prompt)])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"gold": None}, "no_target"),
        ({"gold": "  "}, "empty_assistant"),
        ({"messages": (Message(role="assistant", content="hi"),)}, "roles_out_of_order"),
        ({"messages": (QUESTION, Message(role="wizard", content="y"))}, "roles_out_of_order"),
        ({"messages": (QUESTION, Message(role="assistant", content="y"))}, "roles_out_of_order"),
        (
            {
                "messages": (
                    Message(role="user", content="x"),
                    Message(role="assistant", content=""),
                    Message(role="user", content="z"),
                )
            },
            "empty_assistant",
        ),
        ({"messages": (Message(role="user", content=[{"type": "image_url"}]),)}, "not_text"),
        (
            {
                "messages": (
                    Message(role="user", content="x"),
                    Message(
                        role="assistant",
                        content=None,
                        tool_calls=[{"function": {"name": "f", "arguments": "{broken"}}],
                    ),
                    Message(role="tool", content="1"),
                )
            },
            "broken_tool_call",
        ),
    ],
)  # fmt: skip
def test_rejects_name_the_reason(tokenizer, changes, code):
    formatted = encode(tokenizer, make_sample(7, "x", "y", **{"gold": "y", **changes}))
    assert formatted.samples == []
    assert [reject.code for reject in formatted.rejects] == [code]
    assert formatted.rejects[0].sample_id == "s7"


def test_over_long_is_rejected_never_cut(tokenizer):
    formatted = encode(tokenizer, make_sample(1, "lamp " * 400, "y"), max_tokens=100)
    assert formatted.samples == []
    assert formatted.rejects[0].code == "over_long"
    assert "the limit is 100" in formatted.rejects[0].reason


def learned(tokenizer, one):
    return tokenizer.decode([token for token, wanted in zip(one.ids, one.mask, strict=True) if wanted])


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (1, None, "on its way<|im_end|>order_cancel<|im_end|>"),
        (1, 0, "on its way<|im_end|>"),
        (None, 1, "order_cancel<|im_end|>"),
    ],
)
def test_weights_of_messages_decide_what_is_learned(tokenizer, first, last, expected):
    turns = (
        Message(role="user", content="where is my lamp"),
        Message(role="assistant", content="on its way", weight=first),
        Message(role="user", content="cancel"),
    )
    answer = (Message(role="assistant", content="order_cancel", weight=last),)
    (one,) = encode(tokenizer, make_sample(1, "", None, messages=turns, completion=answer)).samples
    assert learned(tokenizer, one) == expected


def test_weight_zero_everywhere_and_dislike_are_not_learned(tokenizer):
    answer = (Message(role="assistant", content="order_cancel", weight=0),)
    muted = encode(tokenizer, make_sample(1, "cancel", None, completion=answer))
    disliked = encode(tokenizer, make_sample(1, "cancel", "order_cancel", disliked=True))
    assert [one.rejects[0].code for one in (muted, disliked)] == ["nothing_to_learn", "disliked"]


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
