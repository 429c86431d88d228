"""The library and the program are started with the same settings."""

import itertools

import pytest

from freehold.engines.llamacpp.server import KV_TYPES, LlamaOptions, arguments, program
from freehold.types.endpoint import AdapterMount, ServePlan


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
