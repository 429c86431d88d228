"""The folders vLLM serves, and those it cannot."""

import json

import msgspec
import pytest
from tests.engines.vllm.conftest import mounted

from freehold import engines
from freehold.engines.vllm.weights import (
    CacheShape,
    VllmOptions,
    parser_for,
    read_shape,
    template_of,
    with_parser,
)
from freehold.errors import EngineError, InputError, WeightsError
from freehold.training.templates import tagged_template


@pytest.mark.usefixtures("installed")
def test_weights_of_the_wrong_kind(plan, tmp_path):
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(EngineError, match="reads safetensors") as caught:
        engines.check(msgspec.structs.replace(plan, weights_path=str(gguf)))
    assert "freehold serve base --set serve.engine=vllm" in caught.value.hint
    with pytest.raises(EngineError, match="no weights are named"):
        engines.check(msgspec.structs.replace(plan, weights_path=None))
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"\xff" * 30)
    with pytest.raises(WeightsError, match="neither GGUF nor safetensors"):
        engines.check(plan)
    (tmp_path / "weights" / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="holds no safetensors"):
        engines.check(plan)


@pytest.mark.usefixtures("installed")
def test_an_adapter_trained_on_a_gguf_fits_what_was_converted_from_it(plan, adapter, tmp_path):
    record = {"source_sha256": "c" * 64, "source_path": "m.gguf", "quantization": "Q4_1", "version": "1"}
    (tmp_path / "weights" / "converted.json").write_text(json.dumps(record))
    engines.check(mounted(plan, adapter, base_sha256="c" * 64))
    with pytest.raises(EngineError, match="trained on weights"):
        engines.check(mounted(plan, adapter, base_sha256="d" * 64))


@pytest.mark.usefixtures("installed")
def test_the_shape_is_read_from_the_configuration(tmp_path, plan):
    # 30 layers · 3 heads · 64 numbers · keys and values · 2 bytes
    assert read_shape(tmp_path / "weights") == CacheShape(2048, 30 * 3 * 64 * 2 * 2)
    (tmp_path / "config.json").write_text("{}")
    assert read_shape(tmp_path) == CacheShape(None, None)


@pytest.mark.usefixtures("installed")
def test_adapters_that_cannot_be_served(plan, adapter):
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(mounted(plan, adapter, base_sha256="b" * 64))
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8, "use_dora": True}))
    with pytest.raises(EngineError, match="a DoRA adapter"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(EngineError, match="is IA3"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(InputError, match="no such file"):
        engines.check(mounted(plan, adapter))


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
