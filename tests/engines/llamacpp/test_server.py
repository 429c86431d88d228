"""llama.cpp's server: its options, its command, tokens guessed ahead."""

import itertools

import msgspec
import pytest

from freehold import engines
from freehold.engines import keys
from freehold.engines.llamacpp.server import KV_TYPES, LlamaOptions, arguments, check_options, program
from freehold.errors import FreeholdError, UsageError
from freehold.hardware.probes import usable_cores as machine_cores
from freehold.settings import load
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.weights.pull import ensure_weights

pytest.importorskip("xllamacpp")


def test_an_unknown_kv_type(plan):
    with pytest.raises(UsageError, match="'q9' is unknown"):
        engines.check(msgspec.structs.replace(plan, kv_type="q9"))


def test_values_are_not_quantized_without_flash_attention(plan):
    off = msgspec.structs.replace(plan, kv_type="q8_0", options={"flash_attention": "off"})
    with pytest.raises(UsageError, match="with flash attention only"):
        engines.check(off)
    engines.check(msgspec.structs.replace(off, kv_type="f16"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"speculative": "draft"}, "no draft_model"),
        ({"speculative": "draft", "draft_model": "/nowhere.gguf"}, "no draft model at /nowhere.gguf"),
        ({"micro_batch": 0}, "micro_batch is 0"),
    ],
)
def test_options_that_cannot_hold_are_refused(fields, says):
    with pytest.raises(FreeholdError, match=says):
        check_options(LlamaOptions(**fields))


def test_both_ways_to_run_set_the_same():
    plan = ServePlan(
        engine="llamacpp",
        model="m",
        weights_path="w.gguf",
        adapters=(AdapterMount(name="m:a", path="a.gguf"),),
        context_tokens=1000,
        parallel=3,
        threads=2,
        port=4000,
    )
    found = arguments(plan, LlamaOptions())
    pairs = dict(itertools.pairwise(found))
    assert pairs["--ctx-size"] == "3000" and pairs["--parallel"] == "3" and pairs["--port"] == "4000"
    assert (pairs["--cache-type-k"], pairs["--cache-type-v"]) == ("f16", "f16")
    assert pairs["--cors-origins"] == "", "no page of another origin may ask"
    assert pairs["--lora-scaled"] == "a.gguf:0.0"
    assert {"--no-context-shift", "--no-ui", "--no-slots", "--lora-init-without-apply"} <= set(found)
    assert program(plan, LlamaOptions(), "/x/llama-server").arguments[3:5] == ("/x/llama-server", "--model")
    assert "freehold.engines.llamacpp.server" in program(plan, LlamaOptions(), None).arguments


def test_both_ways_guess_ahead_the_same():
    pytest.importorskip("xllamacpp")
    from freehold.engines.llamacpp.server import parameters

    plan = ServePlan(engine="llamacpp", model="m", weights_path="w.gguf", threads=2, kv_type="q8_0")
    options = LlamaOptions(speculative="ngram-simple", prefix_cache=False, micro_batch=128)
    library = parameters(plan, options)
    pairs = dict(itertools.pairwise(arguments(plan, options)))
    assert pairs["--spec-type"] == "ngram-simple" and "--no-cache-prompt" in pairs
    assert (pairs["--threads"], pairs["--threads-batch"], pairs["--ubatch-size"]) == ("2", "2", "128")
    assert "NGRAM_SIMPLE" in library.speculative.types[0].name
    ngram = library.speculative.ngram_simple
    assert (ngram.size_n, ngram.size_m) == (2, 8)
    assert pairs["--spec-ngram-simple-size-n"] == "2" and pairs["--spec-ngram-simple-size-m"] == "8"
    assert (library.cpuparams.n_threads, library.cpuparams_batch.n_threads, library.n_ubatch) == (2, 2, 128)
    assert library.cache_type_k == library.cache_type_v == KV_TYPES["q8_0"]
    assert library.cache_prompt is False

    options = LlamaOptions(speculative="draft", draft_model="small.gguf")
    pairs = dict(itertools.pairwise(arguments(plan, options)))
    assert (pairs["--spec-type"], pairs["--model-draft"]) == ("draft-simple", "small.gguf")
    draft = parameters(plan, options).speculative.draft
    assert (draft.mparams.path, draft.n_max) == ("small.gguf", 8)


TEXT = "Order 4711: two blue lamps and one red chair, to be sent to 12 Hill Street, Bern."


@pytest.fixture(scope="module")
def plan():
    weights = ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())
    return ServePlan(
        engine="llamacpp",
        model="base",
        weights_path=weights.path,
        context_tokens=512,
        parallel=1,
        threads=machine_cores().value,
        options={"binary": "library"},
    )


async def answer(plan, log_dir, **options):
    import aiohttp

    asked = msgspec.structs.replace(plan, options={**plan.options, **options})
    body = {
        "model": "base",
        "messages": [{"role": "user", "content": f"Repeat this text twice, word for word: {TEXT}"}],
        "max_tokens": 60,
        "temperature": 0,
    }
    async with (
        engines.start(asked, log_dir=log_dir, name="spec") as endpoint,
        aiohttp.ClientSession(headers=keys.headers(endpoint)) as http,
        http.post(f"{endpoint.base_url}/v1/chat/completions", json=body) as reply,
    ):
        found = await reply.json()
    return found["choices"][0]["message"]["content"], found["timings"]


@pytest.mark.anyio
@pytest.mark.weights
async def test_an_answer_that_copies_is_guessed_from_its_prompt(plan, tmp_path):
    plain, slow = await answer(plan, tmp_path)
    guessed, fast = await answer(plan, tmp_path, speculative="ngram-simple")
    assert guessed == plain
    assert not slow.get("draft_n")
    assert fast["draft_n_accepted"] > 0, "the answer repeats the prompt"
