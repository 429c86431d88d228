import json

from tests.datasets.importing.exports import ASKED, CALL, TOOL, answer, read, spans

from freehold.datasets.importing import PassedOver


def test_openinference_spans(tmp_path):
    asked, said = "llm.input_messages", "llm.output_messages.0.message"
    call = f"{said}.tool_calls.0.tool_call"
    llm = {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "session.id": "s1", "llm.token_count.prompt": 7,
        f"{asked}.0.message.role": "system", f"{asked}.0.message.content": "Be kind.",
        f"{asked}.1.message.role": "user",
        f"{asked}.1.message.contents.0.message_content.type": "text",
        f"{asked}.1.message.contents.0.message_content.text": "where is my lamp",
        f"{said}.role": "assistant", f"{call}.id": "c1", f"{call}.function.name": "find",
        f"{call}.function.arguments": '{"q": "lamp"}',
        "llm.tools.0.tool.json_schema": json.dumps(TOOL),
    }  # fmt: skip
    format, (found, chain) = read(tmp_path, spans(llm, {**llm, "openinference.span.kind": "CHAIN"}))
    assert format == "opentelemetry" and isinstance(chain, PassedOver)
    assert found.request == {"model": "gpt-4o", "messages": ASKED, "tools": [TOOL]}
    assert answer(found)["tool_calls"] == [CALL]
    assert (found.conversation_id, found.usage.prompt_tokens) == ("s1", 7)
