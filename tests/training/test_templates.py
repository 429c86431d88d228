"""What a chat template leaves out of tools and calls is found, and templates without them are given both."""

import pytest
from tests.training.chats import RESULT, TOOLS, TURNS, WITH_CALLS, WITHOUT_CALLS, sample
from tests.training.conftest import make_tokenizer

from freehold.training.formatting import choose_calls, format_samples, plain_message
from freehold.training.templates import calls_in, is_tagged, lost_from_answer, lost_from_prompt
from freehold.types.dataset import Message


@pytest.fixture
def tokenizer():
    """One of its own for each test, because templates are changed here."""
    return make_tokenizer()


CALL = {"function": {"name": "book", "arguments": {"room": "Lake", "nights": 2, "late": None}}}


def answer(content="", *calls):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


@pytest.mark.parametrize("name", WITHOUT_CALLS)
def test_a_template_that_loses_calls_teaches_no_empty_lesson(tokenizer, name):
    tokenizer.chat_template = WITHOUT_CALLS[name]
    formatted = format_samples(tokenizer, [sample(turn) for turn in TURNS], max_tokens=4096)
    assert "parallel calls" in {reject.sample_id for reject in formatted.rejects}
    assert {reject.code for reject in formatted.rejects} <= {"template", "template_loses_calls"}
    assert all(sum(one.mask) > 1 for one in formatted.samples)


@pytest.mark.parametrize(
    ("written", "lost"),
    [
        ('{"name": "book", "arguments": {"room": "Lake", "nights": 2, "late": null}}', None),
        ("book(room='Lake', nights=2, late=None)", None),
        ("<f=book><room>Lake</room><nights>2</nights><late>none</late>", None),
        ("", "'the chat template does not write the call of book'"),
        ('{"name": "book", "arguments": {"room": "Lake"}}', "'nights'"),
        ('{"name": "book", "arguments": {"room": "", "nights": 2, "late": null}}', "'Lake'"),
        ("Lake 2 null room nights late", "call of book"),
    ],
)
def test_calls_are_found_in_any_notation(written, lost):
    found = lost_from_answer(answer("", CALL), written, tagged=False)
    assert found is None if lost is None else found[0] == "template_loses_calls"
    assert lost is None or lost.strip("'") in found[1]


def test_each_of_two_equal_calls_must_be_there():
    once = '{"name": "book", "arguments": {"room": "Lake", "nights": 2, "late": null}}'
    assert lost_from_answer(answer("", CALL, CALL), once, tagged=False)[0] == "template_loses_calls"
    assert lost_from_answer(answer("", CALL, CALL), once + once, tagged=False) is None


def test_tagged_calls_are_compared_to_the_letter():
    body = '{"name": "book", "arguments": {"room": "Lake", "nights": %s, "late": null}}'
    whole = "<tool_call>\n" + body % "2" + "\n</tool_call>"
    assert lost_from_answer(answer("", CALL), whole, tagged=True) is None
    assert lost_from_answer(answer("", CALL), whole.replace("2", "3"), tagged=True) is not None
    assert lost_from_answer(
        answer("Write <tool_call>x</tool_call>."), "Write <tool_call>x</tool_call>.", tagged=True
    )


def test_text_is_looked_for_too_reasoning_in_its_parts():
    thought = answer("<think>It is late.</think>\n\nGood night.")
    assert lost_from_answer(thought, "<think>\nIt is late.\n</think>\n\nGood night.", tagged=False) is None
    assert lost_from_answer(thought, "Good night.", tagged=False)[0] == "template_loses_text"
    assert lost_from_answer(answer("cafe\u0301"), "caf\u00e9", tagged=False) is None


def test_a_prompt_must_hold_tools_calls_and_results():
    chat = [plain_message(message) for message in TURNS["after a result"][0]]
    whole = 'find_rooms book {"rooms": ["Lake", "Hill"]}'
    assert lost_from_prompt(TOOLS, chat, whole) is None
    assert lost_from_prompt(TOOLS, chat, "find_rooms book rooms: Lake, Hill") is None, (
        "a result value by value"
    )
    assert "the tool book" in lost_from_prompt(TOOLS, chat, "find_rooms Lake Hill rooms")[1]
    assert "tool result" in lost_from_prompt((), chat, "find_rooms")[1]
    assert "earlier call" in lost_from_prompt((), chat, RESULT.content)[1]


def test_few_lost_samples_leave_the_template_as_it_is(tokenizer):
    tokenizer.chat_template = WITH_CALLS["json"].replace(
        "{% for call in",
        "{% if message.tool_calls | length > 1 %}{{ raise_exception('one') }}{% endif %}{% for call in",
    )
    many = [sample("call")] * 19
    assert choose_calls(tokenizer, [*many, sample("parallel calls")]) == "template"
    formatted = format_samples(tokenizer, [*many, sample("parallel calls")], max_tokens=4096)
    assert [reject.code for reject in formatted.rejects] == ["template"]
    assert choose_calls(tokenizer, [sample("call"), sample("parallel calls")]) == "tagged"


def test_samples_without_tools_change_nothing(tokenizer):
    own = tokenizer.chat_template
    assert choose_calls(tokenizer, [sample("text", tools=None)]) == "template"
    assert tokenizer.chat_template == own


def test_an_assistant_turn_needs_no_content(tokenizer):
    """As the API has it where there are calls; a stored sample may leave the field out."""
    import msgspec

    from freehold.types.dataset import Sample

    raw = msgspec.to_builtins(sample("after a result"))
    raw["messages"][1].pop("content", None)
    stored = msgspec.convert(raw, Sample)
    assert stored.messages[1] == Message(role="assistant", tool_calls=stored.messages[1].tool_calls)
    choose_calls(tokenizer, [stored])
    assert not format_samples(tokenizer, [stored], max_tokens=4096).rejects


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
