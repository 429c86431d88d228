import json

import pytest

from freehold.wire.errors import ApiError
from freehold.wire.tool_choice import may_be_called, one_tool, tool_name

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("look", "find")]
FIND = {"type": "function", "function": {"name": "find"}}


def changes(choice, tools=TOOLS):
    return one_tool(json.dumps({"model": "m", "tools": tools, "tool_choice": choice}).encode())


def allowed(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def test_a_tool_asked_for_by_name_becomes_the_only_one():
    assert changes(FIND) == {"tools": TOOLS[1:], "tool_choice": "required"}
    for choice in ("auto", "required", None):
        assert changes(choice) == {}
    assert one_tool(b'{"tools": 5, "tool_choice": {}}') == {} and one_tool(b"[1]") == {}


def test_of_allowed_tools_the_others_are_left_out():
    assert changes(allowed("required", "find")) == {"tools": TOOLS[1:], "tool_choice": "required"}
    assert changes(allowed("auto", "find", "look")) == {"tools": TOOLS, "tool_choice": "auto"}
    assert changes(allowed("auto", "find", "find")) == {"tools": TOOLS[1:], "tool_choice": "auto"}


def test_which_tools_a_choice_leaves():
    assert may_be_called(TOOLS, FIND) == may_be_called(TOOLS, allowed("auto", "find")) == TOOLS[1:]
    for choice in ("required", None, allowed("must", "find"), allowed("auto", "rm"), {"function": 5}):
        assert may_be_called(TOOLS, choice) == TOOLS
    assert may_be_called(5, FIND) == 5


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"type": "function", "function": {"name": "rm"}}, "rm, a tool that is not offered"),
        (allowed("required", "find", "rm"), "rm, a tool that is not offered"),
        (allowed("required"), "a tool that is not offered"),
        (allowed("must", "find"), "type allowed_tools"),
        ({"type": "allowed_tools"}, "type allowed_tools"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": 5}}, "type allowed_tools"),
        ({"type": "custom", "custom": {"name": "find"}}, "type custom"),
    ],
)
def test_what_cannot_be_chosen_is_refused_by_name(choice, words):
    with pytest.raises(ApiError, match=words) as error:
        changes(choice)
    assert error.value.param == "tool_choice"


def test_names_of_tools():
    assert tool_name(FIND) == "find"
    for other in (None, [], {"function": 5}, {"function": {"name": 5}}):
        assert tool_name(other) is None
