"""Cases of `freehold assess`, each with what an expert would shortlist and why; written before they were run, and
before the rules were changed for them: ten at first, twelve on 2026-12-03.

A case is met when all of the first three are among `fits`, and one of the first three is among `best`; where nothing
`fits`, when nothing is on the shortlist. Models that the catalog does not know yet stand there too, so that the sets
say what is right and not what is there. Nothing but the `task`, the traffic and the `options` of the command line
tells the tool what is wanted.
"""

from __future__ import annotations

from typing import NamedTuple

ENCODERS = {
    "sentence-transformers/all-MiniLM-L6-v2", "intfloat/e5-small-v2", "intfloat/e5-base-v2",
    "intfloat/multilingual-e5-small", "BAAI/bge-small-en-v1.5", "BAAI/bge-base-en-v1.5", "thenlper/gte-small",
    "thenlper/gte-base", "Alibaba-NLP/gte-modernbert-base", "answerdotai/ModernBERT-base",
    "nomic-ai/nomic-embed-text-v1.5",
}  # fmt: skip
TINY = {
    "Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3.5-0.8B", "Qwen/Qwen3.5-2B", "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct", "google/gemma-3-270m", "google/gemma-3-1b-it", "google/gemma-4-E2B-it",
    "HuggingFaceTB/SmolLM2-360M-Instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "LiquidAI/LFM2-350M",
    "LiquidAI/LFM2-700M", "LiquidAI/LFM2-1.2B", "LiquidAI/LFM2.5-350M", "LiquidAI/LFM2.5-1.2B-Instruct",
    "ibm-granite/granite-4.0-350m", "ibm-granite/granite-4.0-h-350m", "ibm-granite/granite-4.0-1b",
    "ibm-granite/granite-4.0-h-1b", "meta-llama/Llama-3.2-1B-Instruct", "LGAI-EXAONE/EXAONE-4.0-1.2B",
}  # fmt: skip
SMALL = {
    "Qwen/Qwen3-4B", "Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3.5-4B", "google/gemma-3-4b-it",
    "google/gemma-4-E4B-it", "microsoft/Phi-4-mini-instruct", "HuggingFaceTB/SmolLM3-3B",
    "meta-llama/Llama-3.2-3B-Instruct", "LiquidAI/LFM2-2.6B", "LiquidAI/LFM2.5-2.6B",
    "ibm-granite/granite-4.0-micro", "ibm-granite/granite-4.0-h-micro", "ibm-granite/granite-4.1-3b",
    "ibm-granite/granite-4.2-3b", "mistralai/Ministral-3-3B-Instruct-2512",
}  # fmt: skip
SPARSE_SMALL = {
    "LiquidAI/LFM2-8B-A1B", "LiquidAI/LFM2.5-8B-A1B", "ibm-granite/granite-4.0-h-tiny",
}  # fmt: skip
MIDDLE = {
    "Qwen/Qwen3-8B", "Qwen/Qwen3.5-9B", "google/gemma-3-12b-it", "google/gemma-4-12B-it",
    "meta-llama/Llama-3.1-8B-Instruct", "ibm-granite/granite-4.1-8b", "ibm-granite/granite-4.2-8b",
    "mistralai/Ministral-3-8B-Instruct-2512", "mistralai/Ministral-3-14B-Instruct-2512", "Qwen/Qwen3-14B",
    "nvidia/NVIDIA-Nemotron-Nano-9B-v2", "nvidia/NVIDIA-Nemotron-Nano-12B-v2",
}  # fmt: skip
SPARSE_30B = {
    "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B-Instruct-2507", "Qwen/Qwen3.5-35B-A3B", "Qwen/Qwen3.6-35B-A3B",
    "google/gemma-4-26B-A4B-it", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16", "zai-org/GLM-4.7-Flash", "openai/gpt-oss-20b",
    "ibm-granite/granite-4.0-h-small",
}  # fmt: skip
DENSE_30B = {
    "Qwen/Qwen3.5-27B", "Qwen/Qwen3.6-27B", "Qwen/Qwen3.8-27B", "Qwen/Qwen3-32B", "google/gemma-3-27b-it",
    "google/gemma-4-31B-it", "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistralai/Magistral-Small-2509",
    "ibm-granite/granite-4.1-30b", "ibm-granite/granite-4.2-30b", "meta-models/Muse-Glimmer-30B",
}  # fmt: skip
SPARSE_100B = {
    "openai/gpt-oss-120b", "Qwen/Qwen3.5-122B-A10B", "mistralai/Mistral-Small-4-119B-2603",
    "zai-org/GLM-4.5-Air", "Qwen/Qwen3-Next-80B-A3B-Instruct", "Qwen/Qwen3-Coder-Next",
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16",
}  # fmt: skip
CODERS = {
    "Qwen/Qwen3-Coder-30B-A3B-Instruct", "Qwen/Qwen3-Coder-Next", "mistralai/Devstral-Small-2507",
    "mistralai/Devstral-Small-2-24B-Instruct-2512",
}  # fmt: skip
FRONTIER = {
    "zai-org/GLM-5", "zai-org/GLM-5.1", "zai-org/GLM-5.2", "zai-org/GLM-5.3", "zai-org/GLM-5.3-Flash",
    "moonshotai/Kimi-K2.5", "moonshotai/Kimi-K2.6", "moonshotai/Kimi-K2-Thinking", "deepseek-ai/DeepSeek-V3.2",
    "deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Pro", "Qwen/Qwen3.5-397B-A17B",
    "MiniMaxAI/MiniMax-M2.5", "MiniMaxAI/MiniMax-M2.7", "MiniMaxAI/MiniMax-M3",
    "mistralai/Mistral-Large-3-675B-Instruct-2512", "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16",
    "zai-org/GLM-4.6", "zai-org/GLM-4.7", "XiaomiMiMo/MiMo-V2-Flash",
}  # fmt: skip
TWO_CORES = """
name = "two CPU cores"
memory_gib = 20
cores = 2
memory_bandwidth_gb_per_second = 25
isa = ["AVX2"]
"""


class Case(NamedTuple):
    """One question. `traffic` names a log that the tests make: its task is for the tool to see."""

    name: str
    machine: str
    options: tuple[str, ...]
    fits: frozenset[str]
    best: frozenset[str]
    why: str
    traffic: str | None = None


def _case(
    name: str,
    machine: str,
    options: str,
    fits: set[str],
    best: set[str],
    why: str,
    traffic: str | None = None,
) -> Case:
    return Case(name, machine, tuple(options.split()), frozenset(fits), frozenset(best), why, traffic)


CASES = (
    _case(
        "support intents on a gaming card", "RTX 4090", "--trainable", ENCODERS | TINY | SMALL, ENCODERS,
        "Eight labels, prompts of 50 tokens: an encoder with heads answers in milliseconds, a tuned model of "
        "1 to 4B is the other kind to try. A 27B model brings nothing and cannot be tuned in 24 GB.",
        "labels",
    ),
    _case(
        "support intents on two CPU cores", "two_cores.toml", "", ENCODERS | TINY, ENCODERS,
        "An encoder answers on a CPU in milliseconds; what writes must be tiny. 27B at one token a second is "
        "of no use.",
        "labels",
    ),
    _case(
        "short replies on two CPU cores", "two_cores.toml", "--task text --max-latency 15",
        TINY | SMALL | SPARSE_SMALL | SPARSE_30B, TINY | SMALL | SPARSE_SMALL,
        "Two cores read 25 GB/s: a reply of 80 tokens in 15 s leaves 3 to 4 GB of active weights. Small dense "
        "models, or sparse ones with 1 to 4B active. No dense model beyond 5B, no reasoner that thinks first.",
        "replies",
    ),
    _case(
        "an agent on two H100", "2x H100 SXM", "--task agent --context 131072 --concurrency 8",
        SPARSE_100B | DENSE_30B | SPARSE_30B, SPARSE_100B,
        "160 GB: a sparse model of 80 to 125B in 4 or 8 bits is what teams run there; the best dense 27 to "
        "31B come close. Nothing small, nothing before 2025.",
    ),
    _case(
        "extraction on a cloud L4", "L4", "--concurrency 4 --trainable --language de --language en",
        SMALL | MIDDLE, SMALL | MIDDLE,
        "Fields out of letters of 900 tokens: a tuned model of 3 to 14B does it, and QLoRA of it fits on the "
        "card. No encoder (fields are not closed), no 24B or larger, no reasoner.",
        "extraction",
    ),
    _case(
        "answers from retrieved pages on a gaming card", "RTX 4090", "--task text --context 4096 --language en",
        SPARSE_30B | DENSE_30B | {"google/gemma-4-12B-it", "Qwen/Qwen3-14B"}, SPARSE_30B | DENSE_30B,
        "Asked as it is, quality counts: the best of 24 to 35B in 4 to 5 bits fill the card. No coder, no "
        "model before 2025, and none that only fits without room for its context.",
    ),
    _case(
        "code on one H100", "H100 SXM", "--task code --context 16384 --concurrency 4",
        CODERS | DENSE_30B | SPARSE_30B | {"openai/gpt-oss-120b"},
        CODERS | {"openai/gpt-oss-120b", "Qwen/Qwen3.6-27B", "Qwen/Qwen3.8-27B"},
        "Models made for code (Qwen3-Coder, Devstral), or the newest general ones that lead on it; gpt- "
        "oss-120b fits in the 4 bits it ships in. Not Codestral: its licence bars production.",
    ),
    _case(
        "function calls on a T4", "T4", "--max-latency 3", SMALL | MIDDLE | SPARSE_SMALL | {"openai/gpt-oss-20b"},
        SMALL | MIDDLE | SPARSE_SMALL,
        "One call among five functions, 40 tokens: 3 to 12B that were trained on tools. Llama 2, Gemma 3 and "
        "Phi-3 render none; a 24B model in 3 bits is too slow.",
        "calls",
    ),
    _case(
        "an agent on a Mac", "Apple M4 Max 128GB", "--task agent --context 32768 --min-tokens-per-second 20",
        SPARSE_100B | SPARSE_30B | CODERS, SPARSE_100B,
        "128 GB shared at 546 GB/s: sparse models are made for it. 100B with 5 to 12B active write 30 tokens "
        "a second and more; dense 70B write six.",
    ),
    _case(
        "an agent at the frontier on eight H200, in Germany", "8x H200",
        "--task agent --context 131072 --concurrency 16", FRONTIER, FRONTIER,
        "1.1 TB: the largest open models in FP8 or INT4. Llama 4 is barred in the EU; Kimi K3 (2.8T) does not "
        "fit.",
    ),
    _case(
        "a health service's chat on two H100", "2x H100 SXM", "--task text --context 8192 --concurrency 8",
        SPARSE_100B | DENSE_30B | SPARSE_30B, SPARSE_100B | {"Qwen/Qwen3.8-27B", "google/gemma-4-31B-it"},
        "Eight people read along: 5 to 13B active write fast enough, a dense 70B or 128B does not. None whose "
        "licence has a line of revenue (Mistral Medium 3.5) or wants a contract to serve others (K-EXAONE).",
    ),
    _case(
        "a coding agent on two H100", "2x H100 SXM", "--task code --context 65536 --concurrency 4",
        CODERS | SPARSE_100B | {"Qwen/Qwen3.8-27B", "Qwen/Qwen3.6-27B", "meta-models/Muse-Glimmer-30B"},
        CODERS | {"Qwen/Qwen3.5-122B-A10B", "openai/gpt-oss-120b", "Qwen/Qwen3.8-27B"},
        "Made for code, or leading on it: Coder-Next, Devstral Small 2, Qwen3.8-27B (73 on Terminal-Bench 2.1), "
        "the sparse ones around 120B. Nothing below 20B, nothing with a line of revenue.",
    ),
    _case(
        "a coding agent on a gaming card", "RTX 4090", "--task code --context 16384",
        CODERS | DENSE_30B | SPARSE_30B,
        CODERS | {"Qwen/Qwen3.8-27B", "Qwen/Qwen3.6-27B", "Qwen/Qwen3.6-35B-A3B"},
        "24 GB take 24 to 35B in four bits: Qwen3.8-27B and Devstral Small 2 dense, Qwen3-Coder-30B-A3B and "
        "Qwen3.6-35B-A3B faster. A 12B or an 8B is what one takes where those do not fit.",
    ),
    _case(
        "a coding agent on two CPU cores", "two_cores.toml", "--task code --context 65536", set(), set(),
        "A turn of an agent reads tens of thousands of tokens; at 25 GB/s and two cores that is many minutes for "
        "any model that codes. None here: say so.",
    ),
    _case(
        "support intents in five languages on an L4", "L4",
        "--trainable --language de --language fr --language pl --language it --language en",
        {"intfloat/multilingual-e5-small"} | TINY | SMALL, {"intfloat/multilingual-e5-small"},
        "The multilingual encoder; those of English alone split Polish into letters. Then 1 to 4B that were "
        "taught these languages.",
        "labels",
    ),
    _case(
        "extraction on two CPU cores", "two_cores.toml", "--trainable", TINY | SPARSE_SMALL, TINY,
        "900 tokens in and 120 out on two cores: at most 2B dense, or some 1.5B active, tuned. 4B needs over half "
        "a minute for one letter.",
        "extraction",
    ),
    _case(
        "short replies on a small card", "RTX 4060", "--task text",
        SMALL | MIDDLE | SPARSE_SMALL | TINY, SMALL | MIDDLE | SPARSE_SMALL,
        "8 GB hold 8 to 9B in four bits with a short context, or 4B with room. Nothing of 12B and more; the newest "
        "of 4 to 9B first.",
        "replies",
    ),
    _case(
        "summaries of long papers on one A100", "A100 80GB", "--task text --context 65536",
        SPARSE_30B | DENSE_30B | SPARSE_100B, SPARSE_30B | DENSE_30B | {"openai/gpt-oss-120b"},
        "80 GB: the best of 24 to 35B in 8 or 16 bits with room for 64k, or gpt-oss-120b in the 4 bits it ships "
        "in. No coder, nothing before 2025 (their contexts are short or their long ones weak).",
    ),
    _case(
        "function calls by the thousand on an L40S", "L40S", "--concurrency 16 --trainable",
        SMALL | MIDDLE | SPARSE_SMALL | {"openai/gpt-oss-20b"}, SMALL | MIDDLE,
        "One call among five functions: a tuned 3 to 14B is right as often as a large one, and sixteen at once is "
        "what it is for. 30B would halve the throughput for nothing.",
        "calls",
    ),
    _case(
        "support intents on eight H100", "8x H100 SXM", "--trainable", ENCODERS | TINY | SMALL, ENCODERS,
        "The machine is large, the task is not: an encoder first, then something to tune of 1 to 4B.",
        "labels",
    ),
    _case(
        "an agent on a laptop of 36 GB", "Apple M3 Pro 36GB", "--task agent --context 32768",
        SPARSE_30B | SPARSE_SMALL | MIDDLE, SPARSE_30B,
        "150 GB/s: about 3B active is what writes at reading speed; 20 to 35B sparse in four bits fit in three "
        "quarters of the memory. A dense 27B writes nine tokens a second.",
    ),
    _case(
        "code at the frontier on eight H200", "8x H200", "--task code --context 131072 --concurrency 8",
        FRONTIER | {"Qwen/Qwen3-Coder-480B-A35B-Instruct", "moonshotai/Kimi-K2.7-Code"},
        FRONTIER | {"moonshotai/Kimi-K2.7-Code"},
        "1.1 TB: GLM-5.x, DeepSeek-V4, Kimi-K2.6 and K2.7-Code, MiniMax-M3 lead on code. Nothing of 30B where "
        "these run.",
    ),
)  # fmt: skip
