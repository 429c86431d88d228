import msgspec
import pytest
from tests.training.conftest import make_sample

from freehold.training.formatting import format_samples
from freehold.types.dataset import Message

QUESTION = Message(role="user", content="x")


def encode(tokenizer, sample, max_tokens=512):
    return format_samples(tokenizer, [sample], max_tokens=max_tokens)


def test_only_the_answer_and_its_end_are_targets(tokenizer):
    (one,) = encode(tokenizer, make_sample(1, "where is my lamp", "order_status")).samples
    targets = [token for token, wanted in zip(one.ids, one.mask, strict=True) if wanted]
    assert tokenizer.decode(targets) == "order_status<|im_end|>"
    assert one.ids[-1] == tokenizer.eos_token_id


def test_prompt_ids_are_those_a_server_computes(tokenizer):
    sample = make_sample(1, "where is my lamp", "order_status")
    (one,) = encode(tokenizer, sample).samples
    messages = [{"role": m.role, "content": m.content} for m in sample.messages]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    assert list(one.ids[: len(prompt)]) == list(prompt)
    assert not any(one.mask[: len(prompt)])


def test_earlier_answers_are_learned_where_their_weight_says_so(tokenizer):
    turns = (
        Message(role="user", content="where is my lamp"),
        Message(role="assistant", content="on its way"),
        Message(role="user", content="cancel"),
    )
    sample = make_sample(1, "", "order_cancel", messages=turns)
    (last,) = encode(tokenizer, sample).samples
    weighed = (turns[0], msgspec.structs.replace(turns[1], weight=1), turns[2])
    (both,) = encode(tokenizer, msgspec.structs.replace(sample, messages=weighed)).samples
    assert last.ids == both.ids

    def learned(one):
        return tokenizer.decode([token for token, wanted in zip(one.ids, one.mask, strict=True) if wanted])

    assert learned(last) == "order_cancel<|im_end|>"
    assert learned(both) == "on its way<|im_end|>order_cancel<|im_end|>"


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
