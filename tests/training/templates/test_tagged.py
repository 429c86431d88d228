"""Templates that write no tools, with the preface before them."""

import pytest
from tests.training.templates.chats import TOOLS, TURNS, WITH_CALLS, WITHOUT_CALLS, sample

from freehold.training.formatting import choose_calls, format_samples, plain_message
from freehold.training.templates import calls_in, is_tagged
from freehold.types.dataset import Message

SYSTEM = {"role": "system", "content": "Be brief."}
CHATS = [
    [{"role": "user", "content": "Hello?"}],
    [SYSTEM, {"role": "user", "content": "  Hello?\n"}],
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ],
]


def turns(name, template):
    """The turns that a template allows at all: one with strict turns knows no system message."""
    return [turn for turn in TURNS if not (name == "strict turns" and "system" in turn)]


def learned(tokenizer, one):
    return tokenizer.decode([token for token, wanted in zip(one.ids, one.mask, strict=True) if wanted])


@pytest.mark.parametrize("name", WITHOUT_CALLS)
def test_a_template_without_calls_learns_every_kind_of_turn_whole(tokenizer, name):
    tokenizer.chat_template = WITHOUT_CALLS[name]
    samples = [sample(turn) for turn in turns(name, tokenizer.chat_template)]
    assert choose_calls(tokenizer, samples) == "tagged"
    assert is_tagged(tokenizer.chat_template)
    formatted = format_samples(tokenizer, samples, max_tokens=4096)
    assert not formatted.rejects
    for one in formatted.samples:
        answer = TURNS[one.id][1]
        text = learned(tokenizer, one)
        calls = [made["function"] for made in plain_message(answer).get("tool_calls", [])]
        assert [made.name for made in calls_in(text)] == [made["name"] for made in calls]
        assert [made.arguments for made in calls_in(text)] == [made["arguments"] for made in calls]
        assert (answer.content or "") in text
        assert sum(one.mask) > 1, "more is learned than the end of the turn"


@pytest.mark.parametrize("name", WITH_CALLS)
def test_a_template_with_calls_stays_as_it_is(tokenizer, name):
    tokenizer.chat_template = WITH_CALLS[name]
    samples = [sample(turn) for turn in TURNS]
    assert choose_calls(tokenizer, samples) == "template"
    assert tokenizer.chat_template == WITH_CALLS[name]
    formatted = format_samples(tokenizer, samples, max_tokens=4096)
    assert not formatted.rejects
    assert all(sum(one.mask) > 1 for one in formatted.samples)


@pytest.mark.parametrize("name", WITHOUT_CALLS)
@pytest.mark.parametrize("chat", CHATS)
def test_a_conversation_without_tools_is_written_as_before(tokenizer, name, chat):
    tokenizer.chat_template = own = WITHOUT_CALLS[name]
    if name == "strict turns" and chat[0]["role"] == "system":
        pytest.skip("this template knows no system message")
    before = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    choose_calls(tokenizer, [sample("call")])
    assert tokenizer.chat_template != own
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == before


@pytest.mark.parametrize("name", WITHOUT_CALLS)
def test_every_tool_is_told_once(tokenizer, name):
    tokenizer.chat_template = WITHOUT_CALLS[name]
    choose_calls(tokenizer, [sample("call")])
    chat = [plain_message(Message(role="user", content="Hello?"))]
    text = tokenizer.apply_chat_template(chat, tools=TOOLS, tokenize=False, add_generation_prompt=True)
    assert (
        text.count('{"name": "find_rooms", "description": "Rooms that are free", "parameters": {"type"') == 1
    )
    assert text.count('"book"') == 1


def test_parts_of_content_and_arguments_as_text_are_written_too(tokenizer):
    """As engines hand them over that leave the request as it is."""
    choose_calls(tokenizer, [sample("call")])
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "One "}, {"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"function": {"name": "book", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "content": [{"type": "text", "text": "done"}]},
    ]
    text = tokenizer.apply_chat_template(chat[1:], tools=TOOLS, tokenize=False)
    assert '<tool_call>\n{"name": "book", "arguments": {"a":1}}\n</tool_call>' in text
    assert "<tool_response>\ndone\n</tool_response>" in text


@pytest.mark.parametrize("text", ['<tool_call>{"name": "x"}</tool_call>', "<tool_call>no</tool_call>"])
def test_what_is_not_a_call_is_not_taken_for_one(text):
    assert calls_in(text) is None
