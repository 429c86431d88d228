import json
import math

import pytest

from freehold.deferring.signals import AnswerSignals, asks_with, readable, unreadable_note
from freehold.types.engine import ENGINE_KINDS


def entry(text, logprob, **more):
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": [], **more}


def completion(content, entries, *, finish="stop", **message):
    message = {"role": "assistant", "content": content, **message}
    logprobs = None if entries is None else {"content": entries}
    return {"choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}]}


def signals_of(body, **more):
    read = AnswerSignals()
    read.take(body)
    return read.signals(**more)


def test_mean_and_least_are_of_the_answers_own_tokens():
    body = completion("lost card", [entry(" lost", -0.25), entry(" card", -0.75), entry("<|im_end|>", -9.0)])
    assert signals_of(body) == {"mean_logprob": -0.5, "min_logprob": -0.75}


def test_spaces_and_what_was_thought_before_do_not_count():
    thought = [entry("<think>", -5.0), entry("yes", -4.0), entry("</think>", -3.0), entry("\n\n", -2.0)]
    assert signals_of(completion("yes", [*thought, entry("yes", -0.5), entry("", -8.0)])) == {
        "mean_logprob": -0.5,
        "min_logprob": -0.5,
    }


def test_json_counts_without_its_signs_and_by_field():
    tokens = [
        ('{"', -3.0),
        ("intent", -0.2),
        ('": "', -2.0),
        ("track", -0.1),
        ("_order", -0.3),
        ('", "', -4.0),
    ]
    tokens += [("urgent", 0.0), ('":', -1.0), (" false", -1.5), ("}", -6.0)]
    found = signals_of(
        completion('{"intent": "track_order", "urgent": false}', [entry(*one) for one in tokens])
    )
    # What is left are the names, and the values: track, _order, false.
    assert found["mean_logprob"] == pytest.approx((-0.2 - 0.1 - 0.3 + 0.0 - 1.5) / 5)
    assert found["min_logprob"] == -1.5
    assert found["field_min_logprob"] == -1.5  # the other value's is -0.4, its signs left out


def test_a_value_is_as_likely_as_all_its_tokens_together():
    tokens = [
        ('{"', 0.0),
        ("a", 0.0),
        ('":', 0.0),
        ('"', -2.0),
        ("x", -1.0),
        (" y", -0.5),
        ('"', 0.0),
        ("}", 0.0),
    ]
    body = completion('{"a":"x y"}', [entry(*one) for one in tokens])
    assert signals_of(body)["field_min_logprob"] == -1.5
    assert "field_min_logprob" not in signals_of(body, fields=False)


def test_a_fenced_object_has_fields_and_a_list_has_none():
    fenced = [entry("```json\n", -0.1), entry('{"a": 1', -0.4), entry("}\n", -0.2), entry("```", -0.1)]
    assert signals_of(completion('```json\n{"a": 1}\n```', fenced))["field_min_logprob"] == -0.4
    assert "field_min_logprob" not in signals_of(completion("[1]", [entry("[1]", -0.4)]))
    assert "field_min_logprob" not in signals_of(completion('{"a": ', [entry('{"a": ', -0.4)]))


def test_letters_cut_between_tokens_are_read_by_their_bytes():
    first, second = entry("\ufffd", -0.2), entry("\ufffd", -0.4)
    first["bytes"], second["bytes"] = [0xC3], [0xA9]
    assert signals_of(completion("é", [first, second]))["min_logprob"] == -0.4


def test_tokens_whose_letters_are_lost_are_aligned_by_the_others():
    body = completion(
        "café noir", [{"token": "caf\ufffd", "logprob": -0.5}, {"token": "noir", "logprob": -0.25}]
    )
    assert signals_of(body) == {"mean_logprob": -0.375, "min_logprob": -0.5}


def test_tool_calls_are_their_names_and_arguments():
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"q":"a b"}'}}
    tokens = [
        entry("<tool_call>", -9.0),
        entry('{"name": "', -7.0),
        entry("find", -0.5),
        entry('", "arguments": ', -0.1),
    ]
    tokens += [entry('{"q": "a b"}', -0.3), entry("}</tool_call>", -8.0)]
    body = completion(None, tokens, finish="tool_calls", tool_calls=[call])
    assert signals_of(body) == {"mean_logprob": pytest.approx(-0.3), "min_logprob": -0.5}


@pytest.mark.parametrize(
    "body",
    [
        completion("yes", None),
        completion("yes", [entry("yes", -0.1)], finish="length"),
        completion("yes", [entry("yes", -0.1)], finish=None),
        completion("yes no", [entry("yes", -0.1)]),
        completion("yes", [entry("yes", None)]),
        completion("yes", [entry("yes", math.nan)]),
        completion("yes", [entry("yes", -0.1, bytes=[-1])]),
        {"choices": None},
        {},
        {"error": {"message": "no"}},
    ],
)
def test_what_is_incomplete_gives_no_signal(body):
    assert signals_of(body) == {}


def test_an_answer_of_signs_alone_counts_them():
    assert signals_of(completion("{}", [entry("{}", -0.5)])) == {"mean_logprob": -0.5, "min_logprob": -0.5}


def test_minus_infinity_is_a_number():
    assert signals_of(completion("a", [entry("a", -math.inf)]))["min_logprob"] == -9999.0


def test_the_encoders_probability_is_taken_for_what_it_is():
    body = completion("track", [entry("track", -0.1)]) | {"freehold": {"confidence": 0.1, "probability": 0.9}}
    assert signals_of(body) == {"probability": 0.9}
    cut = completion("track", None, finish="length") | {"freehold": {"probability": 0.9}}
    assert signals_of(cut) == {}
    for wrong in (1.5, True, "0.9", None):
        assert signals_of(completion("track", None) | {"freehold": {"probability": wrong}}) == {}


def chunks(body, cut):
    """A stream of the same answer, a token a chunk, with its end in a chunk of its own."""
    choice = body["choices"][0]
    yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    for one in choice["logprobs"]["content"]:
        told = None if one["token"] == cut else {"content": [one]}
        yield {
            "choices": [
                {"index": 0, "delta": {"content": one["token"]}, "logprobs": told, "finish_reason": None}
            ]
        }
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {"choices": [], "usage": {"completion_tokens": 3}}


@pytest.mark.parametrize("cut", [None, "ca"])
def test_a_stream_gives_what_the_whole_answer_gives_unless_some_are_missing(cut):
    body = completion("lost card", [entry("lost ", -0.1), entry("ca", -0.2), entry("rd", -0.4)])
    read = AnswerSignals()
    for chunk in chunks(body, cut):
        read.take(json.loads(json.dumps(chunk)))
    assert read.signals() == ({} if cut else signals_of(body))


def vllm(token, logprob, **more):
    """A token as vLLM writes it: `ChatCompletionLogProbsContent` of vllm/entrypoints/openai/chat_completion/protocol.py
    (github.com/vllm-project/vllm at 002032ee, read 2026-11-29), asked with ``top_logprobs`` 1."""
    told = {"token": token, "logprob": logprob, "bytes": list(token.encode())}
    return {**told, "top_logprobs": [told], **more}


def vllm_completion(content, entries, *, finish="stop", **message):
    """`ChatCompletionResponse` of the same file, with the fields that it adds to OpenAI's."""
    message = {"role": "assistant", "content": content, "refusal": None, "annotations": None, "audio": None,
               "function_call": None, "reasoning": None, **message}  # fmt: skip
    choice = {"index": 0, "message": message, "logprobs": {"content": entries}, "finish_reason": finish,
              "stop_reason": None, "token_ids": None, "routed_experts": None}  # fmt: skip
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
        "service_tier": None, "system_fingerprint": None, "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        "prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None, "metrics": None,
    }  # fmt: skip


VLLM_TOKENS = [
    vllm('{"', -0.01),
    vllm("intent", -0.02),
    vllm('": "', -0.01),
    vllm("track", -0.3),
    vllm('"}', -0.02),
]


def test_vllms_answers_are_read_in_their_documented_shape():
    body = vllm_completion('{"intent": "track"}', [*VLLM_TOKENS, vllm("<|im_end|>", -0.7, bytes=None)])
    found = signals_of(json.loads(json.dumps(body)))
    assert found == {"mean_logprob": -0.16, "min_logprob": -0.3, "field_min_logprob": -0.3}


def test_an_unfinished_stream_gives_no_signal():
    read = AnswerSignals()
    for chunk in list(chunks(completion("lost", [entry("lost", -0.1)]), None))[:-2]:
        read.take(chunk)
    assert read.signals() == {}


def test_what_an_engine_can_tell_is_known_before_it_is_asked():
    assert readable(ENGINE_KINDS["encoder"]) == ("probability",)
    assert "mean_logprob" in readable(ENGINE_KINDS["llamacpp"])
    assert asks_with(ENGINE_KINDS["encoder"]) == asks_with(ENGINE_KINDS["echo"]) == {}
    assert asks_with(ENGINE_KINDS["vllm"]) == {"logprobs": True, "top_logprobs": 1}
    assert unreadable_note(ENGINE_KINDS["vllm"]) is None
    assert "no log-probabilities" in (unreadable_note(ENGINE_KINDS["echo"]) or "")
    assert "not known before" in (unreadable_note(ENGINE_KINDS["ollama"]) or "")
