"""One reader for every spelling of token counts: what it reads is written out beside each."""

import pytest

from freehold.types.trace import Usage
from freehold.wire.usage import chat_usage, merged, message_usage, read_usage, response_usage, usage_of

SPELLINGS = {
    "openai chat": (
        {
            "prompt_tokens": 1000,
            "completion_tokens": 300,
            "total_tokens": 1300,
            "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 50},
            "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 20},
        },
        Usage(
            prompt_tokens=1000,
            completion_tokens=300,
            cached_prompt_tokens=400,
            reasoning_tokens=200,
            audio_prompt_tokens=50,
            audio_completion_tokens=20,
        ),
    ),
    "openai responses": (
        {
            "input_tokens": 1000,
            "output_tokens": 300,
            "total_tokens": 1300,
            "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
            "output_tokens_details": {"reasoning_tokens": 200},
        },
        Usage(
            prompt_tokens=1000,
            completion_tokens=300,
            cached_prompt_tokens=400,
            cache_write_tokens=100,
            reasoning_tokens=200,
        ),
    ),
    "anthropic: cached apart from the input": (
        {
            "input_tokens": 20,
            "cache_read_input_tokens": 2000,
            "cache_creation_input_tokens": 500,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
            "output_tokens": 50,
            "service_tier": "batch",
        },
        Usage(
            prompt_tokens=2520,
            completion_tokens=50,
            cached_prompt_tokens=2000,
            cache_write_tokens=500,
            cache_write_1h_tokens=300,
            service_tier="batch",
        ),
    ),
    "bedrock converse: cached apart, though its total does not say so": (
        {
            "inputTokens": 2100,
            "outputTokens": 50,
            "totalTokens": 2150,
            "cacheReadInputTokens": 2000,
            "cacheWriteInputTokens": 30,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 30}],
        },
        Usage(
            prompt_tokens=4130,
            completion_tokens=50,
            cached_prompt_tokens=2000,
            cache_write_tokens=30,
            cache_write_1h_tokens=30,
        ),
    ),
    "gemini: thoughts apart from the candidates": (
        {
            "promptTokenCount": 900,
            "cachedContentTokenCount": 600,
            "candidatesTokenCount": 40,
            "thoughtsTokenCount": 160,
            "toolUsePromptTokenCount": 100,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 70}],
        },
        Usage(
            prompt_tokens=1000,
            completion_tokens=200,
            cached_prompt_tokens=600,
            reasoning_tokens=160,
            audio_prompt_tokens=70,
        ),
    ),
    "gemini behind an OpenAI API: its total tells (QuantumNous/new-api, issue 1103)": (
        {
            "prompt_tokens": 7,
            "completion_tokens": 124,
            "total_tokens": 1228,
            "completion_tokens_details": {"reasoning_tokens": 1097},
        },
        Usage(prompt_tokens=7, completion_tokens=1221, reasoning_tokens=1097),
    ),
    "ollama": (
        {"prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4709213000},
        Usage(prompt_tokens=26, completion_tokens=298),
    ),
    "litellm of Claude: cached inside": (
        {
            "prompt_tokens": 2520,
            "completion_tokens": 50,
            "total_tokens": 2570,
            "prompt_tokens_details": {"cached_tokens": 2000, "cache_creation_tokens": 500},
            "cache_read_input_tokens": 2000,
            "cache_creation_input_tokens": 500,
        },
        Usage(prompt_tokens=2520, completion_tokens=50, cached_prompt_tokens=2000, cache_write_tokens=500),
    ),
    "langchain: cached inside": (
        {
            "input_tokens": 2520,
            "output_tokens": 50,
            "total_tokens": 2570,
            "input_token_details": {
                "cache_read": 2000,
                "cache_creation": 0,
                "ephemeral_1h_input_tokens": 500,
            },
            "output_token_details": {"reasoning": 30},
        },
        Usage(
            prompt_tokens=2520,
            completion_tokens=50,
            cached_prompt_tokens=2000,
            cache_write_tokens=500,
            cache_write_1h_tokens=500,
            reasoning_tokens=30,
        ),
    ),
    "langfuse: kinds that do not overlap": (
        {
            "input": 2140,
            "input_cached_tokens": 1024,
            "output": 96,
            "output_reasoning_tokens": 310,
            "total": 3570,
        },
        Usage(prompt_tokens=3164, completion_tokens=406, cached_prompt_tokens=1024, reasoning_tokens=310),
    ),
    "langfuse of an old SDK: cached inside, as its total says": (
        {"input": 2140, "input_cached_tokens": 1024, "output": 96, "total": 2236},
        Usage(prompt_tokens=2140, completion_tokens=96, cached_prompt_tokens=1024),
    ),
    "vercel's AI SDK": (
        {"inputTokens": 900, "outputTokens": 40, "cachedInputTokens": 600, "reasoningTokens": 10},
        Usage(prompt_tokens=900, completion_tokens=40, cached_prompt_tokens=600, reasoning_tokens=10),
    ),
    "deepseek": (
        {"prompt_tokens": 900, "completion_tokens": 40, "prompt_cache_hit_tokens": 600},
        Usage(prompt_tokens=900, completion_tokens=40, cached_prompt_tokens=600),
    ),
    "a table's text": ({"prompt_tokens": "12", "completion_tokens": "3.5"}, Usage(prompt_tokens=12)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_spelling_is_read(name):
    told, meant = SPELLINGS[name]
    assert read_usage(told) == meant


@pytest.mark.parametrize(
    "told",
    [None, {}, {"prompt_tokens": -5}, {"prompt_tokens": True}, {"prompt_tokens": 1 << 70}],
)  # fmt: skip
def test_what_counts_nothing_is_no_usage(told):
    assert read_usage(told) is None


def test_sums_stay_within_what_the_store_takes():
    most = (1 << 63) - 1
    told = {"promptTokenCount": most, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 3}
    assert read_usage(told) == Usage(completion_tokens=3)
    assert read_usage({"input_tokens": most, "cache_read_input_tokens": most}) is None
    written = {"ephemeral_5m_input_tokens": most, "ephemeral_1h_input_tokens": most}
    found = read_usage({"input_tokens": 1, "output_tokens": 2, "cache_creation": written})
    assert found == Usage(completion_tokens=2, cache_write_tokens=most, cache_write_1h_tokens=most)
    listed = [{"modality": "AUDIO", "tokenCount": most}] * 2
    found = read_usage({"promptTokenCount": 9, "candidatesTokenCount": 1, "promptTokensDetails": listed})
    assert found.audio_prompt_tokens == 9


def test_counts_below_zero_and_parts_beyond_their_whole_are_not_believed():
    assert read_usage({"prompt_tokens": 10, "completion_tokens": -1}) == Usage(prompt_tokens=10)
    told = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 90}}
    assert read_usage(told).audio_prompt_tokens == 10


def test_usage_is_found_in_the_body_of_every_api_with_the_tier_it_was_answered_at():
    counts = {"prompt_tokens": 3, "completion_tokens": 4}
    assert usage_of({"usage": counts, "service_tier": "flex"}).service_tier == "flex"
    assert usage_of({"usage": counts, "service_tier": "default"}).service_tier is None
    assert usage_of({"usageMetadata": {"promptTokenCount": 3}}) == Usage(prompt_tokens=3)
    assert usage_of({"done": True, "prompt_eval_count": 3, "eval_count": 4}) == Usage(
        prompt_tokens=3, completion_tokens=4
    )
    assert usage_of({"choices": []}) is None and usage_of("text") is None


def test_a_stream_s_later_counts_take_the_place_of_earlier_ones_but_for_zeros():
    begin = {"input_tokens": 20, "cache_read_input_tokens": 2000, "output_tokens": 1}
    end = {"input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 50}
    assert read_usage(merged(begin, end)) == Usage(
        prompt_tokens=2020, completion_tokens=50, cached_prompt_tokens=2000
    )
    assert merged(None, end)["output_tokens"] == 50 and merged(begin, "x") == begin


@pytest.mark.parametrize("write", [chat_usage, message_usage, response_usage])
def test_what_is_written_in_an_api_s_words_is_read_back(write):
    usage = Usage(prompt_tokens=2520, completion_tokens=50, cached_prompt_tokens=2000, cache_write_tokens=500)
    assert read_usage(write(usage)) in (
        usage,
        Usage(**{**{name: getattr(usage, name) for name in usage.__struct_fields__}, "reasoning_tokens": 0}),
    )
    assert read_usage(write(None)).prompt_tokens == 0
