"""Requests that demand a tool call, and models that cannot be made to write one."""

from pathlib import Path

import pytest

from freehold.hardware.gguf_header import Header
from freehold.settings import load
from freehold.types.dataset import Message, RecordedAsking, Sample
from freehold.types.endpoint import Capabilities, Endpoint, ServePlan
from freehold.workflows.serve import tools
from freehold.workflows.weights.pull import ensure_weights

PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m['content'] }}<|im_end|>{% endfor %}"
WITH_TOOLS = "{%- if tools %}{{ tools | tojson }}{% endif %}" + PLAIN
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def sample(choice=None, offered=True):
    asking = None if choice is None else RecordedAsking(tool_choice=choice)
    return Sample(
        id="s",
        messages=(Message(role="user", content="where?"),),
        tools=[TOOL] if offered else None,
        asking=asking,
    )


NAMED = {"type": "function", "function": {"name": "find"}}
FORCED = [
    sample("required"),
    sample(NAMED),
    sample("auto"),
    sample("none"),
    sample(),
    sample("required", False),
]


@pytest.mark.parametrize(
    ("template", "knows"),
    [
        (PLAIN, False),
        (WITH_TOOLS, True),
        ("{% set tools = [] %}" + PLAIN, False),
        ("{# tools #}" + PLAIN, False),
        ("{% generation %}{{ tools }}{% endgeneration %}", None),
        ("{{ tools", None),
    ],
)
def test_a_template_knows_tools_when_it_reads_them(template, knows):
    assert tools.knows_tools(template) is knows


def test_a_template_is_never_run_and_what_demands_a_call_is_counted():
    assert tools.knows_tools("{% for x in range(10 ** 12) %}{{ x }}{% endfor %}{{ 1 / 0 }}") is False
    assert tools.demanding(FORCED) == (2, 6)
    assert tools.demanding([]) == (0, 0)


def plan(engine="llamacpp", **changes):
    return ServePlan(engine=engine, model="org/m", **changes)


def test_a_plan_whose_template_knows_no_tools_is_told(tmp_path, monkeypatch):
    told = tools.unmet(plan(options={"chat_template": PLAIN}), FORCED)
    assert told is not None and told.startswith("2 of 6 requests demand a tool call (tool_choice)")
    assert "org/m knows no tools: llama.cpp" in told
    assert tools.unmet(plan(options={"chat_template": WITH_TOOLS}), FORCED) is None
    assert tools.unmet(plan(options={"chat_template": PLAIN}), [sample("auto")]) is None
    # An engine that refuses by itself, or holds the demand, and weights of which nothing is known.
    assert tools.unmet(plan("vllm", options={"chat_template": PLAIN}), FORCED) is None
    assert tools.unmet(plan(weights_path="/nowhere/m.gguf"), FORCED) is None
    monkeypatch.setattr(
        tools, "read_header", lambda path: Header(str(path), {"tokenizer.chat_template": PLAIN}, (), 1)
    )
    assert tools.unmet(plan(weights_path=str(tmp_path / "m.gguf")), FORCED) is not None


def test_an_endpoint_is_told_by_what_it_says_it_can_do():
    where = Endpoint(name="e", engine="llamacpp", base_url="http://x")
    assert "2 of 6" in (tools.unmet_at(where, "m", FORCED) or "")
    able = Endpoint(name="e", engine="llamacpp", base_url="http://x", capabilities=Capabilities(tools=True))
    assert tools.unmet_at(able, "m", FORCED) is None
    assert tools.unmet_at(Endpoint(name="e", engine="remote", base_url="http://x"), "m", FORCED) is None


@pytest.mark.weights
def test_real_weights_say_it_in_their_file():
    weights = ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())
    assert tools.knows_tools(tools.template_in(Path(weights.path))) is False
