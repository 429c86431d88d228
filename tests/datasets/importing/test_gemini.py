"""Gemini's and Ollama's own bodies, logged as pairs."""

from tests.datasets.importing.exports import one

from freehold.types.trace import Usage

GEMINI = {
    "request": {
        "model": "models/gemini-2.5-flash",
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "where is my lamp"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"q": "lamp"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"at": "hall"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "find", "parameters": {"type": "object"}}]}],
        "generationConfig": {"temperature": 0.2, "maxOutputTokens": 64},
    },
    "response": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [{"text": "thinking", "thought": True}, {"text": "in the "}, {"text": "hall"}],
                },
                "finishReason": "MAX_TOKENS",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 90,
            "cachedContentTokenCount": 60,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 16,
            "totalTokenCount": 110,
        },
        "modelVersion": "gemini-2.5-flash",
    },
}


def test_a_call_of_gemini_is_a_chat_with_its_counts(tmp_path):
    _, read = one(tmp_path, GEMINI)
    asked = read.request
    assert [turn["role"] for turn in asked["messages"]] == ["system", "user", "assistant", "tool"]
    call = asked["messages"][2]["tool_calls"][0]
    assert call["function"] == {"name": "find", "arguments": '{"q":"lamp"}'}
    assert asked["messages"][3] == {"role": "tool", "tool_call_id": call["id"], "content": '{"at":"hall"}'}
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("gemini-2.5-flash", 0.2, 64)
    assert asked["tools"][0]["function"]["name"] == "find"
    said = read.response["choices"][0]
    assert (said["message"]["content"], said["finish_reason"]) == ("in the hall", "length")
    assert read.usage == Usage(
        prompt_tokens=90, completion_tokens=20, cached_prompt_tokens=60, reasoning_tokens=16
    )


def test_ollama_s_own_answers_are_read_with_their_counts(tmp_path):
    request = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "hello"}], "stream": False}
    call = {"function": {"name": "find", "arguments": {"q": "lamp"}}}
    counts = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 3}
    _, read = one(
        tmp_path,
        {
            "request": request,
            "response": {"message": {"role": "assistant", "content": "", "tool_calls": [call]}, **counts},
        },
    )
    assert read.response["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"q":"lamp"}'
    assert read.usage == Usage(prompt_tokens=11, completion_tokens=3)
    _, generated = one(
        tmp_path,
        {"request": {"model": "qwen3:8b", "prompt": "hello"}, "response": {"response": "hi", **counts}},
    )
    assert generated.response["choices"][0]["message"]["content"] == "hi"
    assert generated.usage == Usage(prompt_tokens=11, completion_tokens=3)


def test_a_stream_of_gemini_s_chunks_is_one_answer(tmp_path):
    chunks = [
        {
            "candidates": [{"content": {"parts": [{"text": "in the "}]}}],
            "usageMetadata": {"promptTokenCount": 5},
        },
        {
            "candidates": [{"content": {"parts": [{"text": "hall"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3},
        },
    ]
    _, read = one(tmp_path, {"request": GEMINI["request"], "response": {"streamed_data": chunks}})
    assert read.response["choices"][0]["message"]["content"] == "in the hall"
    assert read.usage == Usage(prompt_tokens=5, completion_tokens=3)


def test_its_sdk_s_snake_case_is_read_too(tmp_path):
    record = {
        "request": {
            "model": "gemini-2.5-flash",
            "contents": "hello",
            "config": {"system_instruction": "Be kind.", "max_output_tokens": 9},
        },
        "response": {
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finish_reason": "STOP"}],
            "usage_metadata": {"prompt_token_count": 5, "candidates_token_count": 2},
        },
    }
    _, read = one(tmp_path, record)
    assert [turn["content"] for turn in read.request["messages"]] == ["Be kind.", "hello"]
    assert read.request["max_tokens"] == 9
    assert read.usage == Usage(prompt_tokens=5, completion_tokens=2)
