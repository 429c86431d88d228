"""Conversations with tools, and chat templates in the notations that models use for calls."""

import json

from tests.training.conftest import TEMPLATE

from freehold.catalog import weights as catalog
from freehold.types.dataset import Message, Sample

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_rooms",
            "description": "Rooms that are free",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string"},
                    "people": {"type": "integer"},
                    "quiet": {"type": "boolean"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}},
]


def call(name, **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call-{name}", "type": "function", "function": function}


USER = Message(role="user", content="A quiet room for 3 in Zürich & Bern?")
FIND = Message(
    role="assistant", tool_calls=[call("find_rooms", place='Zürich "HB" & Bern', people=3, quiet=True)]
)
BOTH = Message(
    role="assistant", content="One moment.", tool_calls=[*FIND.tool_calls, call("book", nights=2.5)]
)
RESULT = Message(role="tool", tool_call_id="call-find_rooms", content='{"rooms": ["Lake", "Hill"]}')
TEXT = Message(role="assistant", content="Lake and Hill are free.")

TURNS = {
    "call": ((USER,), FIND),
    "parallel calls": ((USER,), BOTH),
    "text": ((USER,), TEXT),
    "text with a system message": ((Message(role="system", content="Be brief."), USER), TEXT),
    "after a result": ((USER, FIND, RESULT), TEXT),
    "after two results": ((USER, BOTH, RESULT, Message(role="tool", content="booked")), TEXT),
    "a call after a result": (
        (USER, FIND, RESULT),
        Message(role="assistant", tool_calls=[call("book", room="Lake")]),
    ),
    "a later question": ((USER, FIND, RESULT, TEXT, Message(role="user", content="Book Hill.")), FIND),
    "a question right after a result": (
        (USER, FIND, RESULT, Message(role="user", content="And Bern?")),
        FIND,
    ),
}


def sample(turn, *, tools=TOOLS):
    messages, answer = TURNS[turn]
    return Sample(id=turn, messages=messages, tools=tools, completion=(answer,))


def _chatml(calls, tools="{{ tools | tojson }}"):
    """ChatML with tools before everything and calls after an assistant's text."""
    return (
        "{% if tools %}<|im_start|>system\n" + tools + "<|im_end|>\n{% endif %}"
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{{ message['content'] }}"
        "{% for call in message.tool_calls or [] %}" + calls + "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


WITH_CALLS = {
    "json": _chatml("\n<tool_call>\n{{ call.function | tojson }}\n</tool_call>"),
    "escaped json": _chatml("[CALL]{{ call.function | tojson(ensure_ascii=True) }}"),
    "tags": _chatml(
        "<function={{ call.function.name }}>{% for key, value in call.function.arguments.items() %}"
        "<parameter={{ key }}>\n{{ value if value is string else value | tojson }}\n</parameter>{% endfor %}"
    ),
    "python": _chatml(
        "{{ call.function.name }}({% for key, value in call.function.arguments.items() %}"
        "{{ key }}={% if value is string %}{{ value | tojson }}{% else %}{{ value }}{% endif %}, {% endfor %})"
    ),
}
"""Templates that write calls, in four notations."""

WITHOUT_CALLS = {
    "plain": TEMPLATE,
    "tools without calls": _chatml(""),
    "calls without tools": _chatml("{{ call.function | tojson }}", tools="You have tools."),
    "names without arguments": _chatml("<call>{{ call.function.name }}</call>"),
    "one call at a time": _chatml(
        "{% if message.tool_calls | length > 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
    ),
    "strict turns": (
        "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('user and assistant must take turns') }}{% endif %}"
        "{{ '<|im_start|>' + message.role + '\n' + message.content | trim + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    **{
        row.chat_template: catalog.template(row.chat_template)
        for row in catalog.rows()
        if row.chat_template is not None
    },
}
"""Templates that lose tools, calls or a part of them: made up here, and all that the catalog ships."""
