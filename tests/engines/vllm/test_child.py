"""vLLM's child asks for the key at every path, and which parser understands a model's tool calls."""

import asyncio
import json

import pytest

from freehold.engines.vllm.child import GUARD, KeyGuard
from freehold.engines.vllm.options import VllmOptions
from freehold.engines.vllm.tools import parser_for, with_parser
from freehold.engines.vllm.weights import template_of
from freehold.training.templates.tagged import tagged_template

KEY = b"Bearer the-key"


def asked(monkeypatch, path, *headers, kind="http"):
    """The messages a request gets, and whether vLLM saw it."""
    monkeypatch.setenv("VLLM_API_KEY", "the-key")
    seen, sent = [], []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "path": path, "headers": [*headers]}
    asyncio.run(KeyGuard(app)(scope, None, send))
    return sent, bool(seen)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/invocations", "/tokenize", "/metrics", "/sleep", "/health/", "/"]
)
@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer x")], [(b"authorization", KEY)] * 2])
def test_without_the_key_nothing_is_answered(monkeypatch, path, headers):
    sent, seen = asked(monkeypatch, path, *headers)
    assert not seen and sent[0]["status"] == 401 and b"invalid_api_key" in sent[1]["body"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/metrics"])
def test_with_the_key_vllm_answers(monkeypatch, path):
    assert asked(monkeypatch, path, (b"authorization", KEY)) == ([], True)


def test_health_is_open_and_websockets_are_not(monkeypatch):
    assert asked(monkeypatch, "/health") == ([], True)
    sent, seen = asked(monkeypatch, "/v1/realtime", kind="websocket")
    assert not seen and sent == [{"type": "websocket.close", "code": 1008}]


def test_its_name_is_one_that_can_be_imported_once_the_child_runs():
    module, _, name = GUARD.rpartition(".")
    assert module.isidentifier() and name == KeyGuard.__name__


ASKS = "{% if tools %}…{% endif %}"
TEMPLATES = {
    "hermes": "<tool_call>\n{{ call | tojson }}\n</tool_call>",
    "qwen3_coder": "<tool_call>\n<function={{ name }}>",
    "llama3_json": "<|start_header_id|>ipython<|end_header_id|>",
    "llama4_pythonic": "<|python_start|>{{ call }}<|python_end|> ipython",
    "mistral": "[TOOL_CALLS] [{{ call }}]",
    "deepseek_v3": "<｜tool▁calls▁begin｜>{{ name }}\n```json\n",
    "deepseek_v31": "<｜tool▁calls▁begin｜>{{ name }}<｜tool▁sep｜>",
    "cohere_command3": "<|START_ACTION|>{{ call }}<|END_ACTION|>",
    "granite": "<|tool_call|>{{ call }}",
    "kimi_k2": "<|tool_calls_section_begin|>",
    "glm45": "<tool_call>{{ name }}\n<arg_key>{{ key }}</arg_key>",
    "openai": "<|channel|>commentary to=functions.{{ name }}",
}


def test_a_template_that_was_given_calls_is_read_by_the_hermes_parser():
    assert parser_for("{{ messages }}") is None
    assert parser_for(tagged_template("{{ messages }}", str)) == "hermes"


@pytest.mark.parametrize("parser", TEMPLATES)
def test_the_template_tells_the_parser(parser):
    assert parser_for(ASKS + TEMPLATES[parser]) == parser


def test_a_template_that_teaches_no_tools_has_no_parser():
    assert parser_for(None) is None
    assert parser_for("{{ messages }}") is None
    assert parser_for("{{ messages }} <tool_call>") is None, "it never looks at the request's tools"
    assert parser_for(ASKS + "call it as you like") is None


def test_what_was_asked_for_goes_before_the_template():
    template = ASKS + TEMPLATES["hermes"]
    assert with_parser(VllmOptions(), template).tool_parser == "hermes"
    assert with_parser(VllmOptions(tool_parser="xlam"), template).tool_parser == "xlam"
    assert with_parser(VllmOptions(tool_parser="none"), template).tool_parser is None
    assert with_parser(VllmOptions(embeddings=True), template).tool_parser is None
    mine = VllmOptions(chat_template=ASKS + TEMPLATES["mistral"])
    assert with_parser(mine, template).tool_parser == "mistral"


def test_a_template_is_found_in_each_of_its_places(tmp_path):
    assert template_of(tmp_path) is None
    odd = [7, {"name": "chat", "template": "odd"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": odd}))
    assert template_of(tmp_path) == "odd"
    several = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    assert template_of(tmp_path) == "tools"
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "json"}))
    assert template_of(tmp_path) == "json"
    (tmp_path / "chat_template.jinja").write_text("jinja")
    assert template_of(tmp_path) == "jinja"
