"""What a 4-bit base takes in memory against the same base in bf16. Prints one JSON object.

    python -m benchmarks.training.four_bit

SmolLM2-135M-Instruct is written as safetensors and loaded as `freehold train` loads it, once for `lora` in bf16
and once for `qlora` (NF4, double quantization, Dettmers et al. 2023, arXiv:2305.14314), each in a process of its
own. `weight_bytes` are the bytes of all weights that are held; embeddings, which are the output head as well
here, stay in bf16, so a small model with a large vocabulary gains less than a large one: `layer_bytes` leaves
them out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.training.samples import BASE
from freehold import settings
from freehold.training import base as bases
from freehold.types.config import FinetuneConfig, Method
from freehold.workflows.weights.made import to_safetensors
from freehold.workflows.weights.pull import ensure_weights


def measure(method: Method) -> dict[str, int]:
    """Bytes of the weights of the base as it is held for training by `method`."""
    values = settings.load()
    weights = to_safetensors(ensure_weights(BASE, values), values)
    base = bases.load(weights, FinetuneConfig(method=method))
    embedding: Any = base.model.get_input_embeddings().weight
    kept = embedding.numel() * embedding.element_size()
    quantized = sum(1 for weight in base.model.parameters() if type(weight).__name__ == "Params4bit")
    # The 4-bit blocks' own scales are no parameters of the model.
    scales = sum(
        tensor.numel() * tensor.element_size()
        for weight in base.model.parameters()
        if (state := getattr(weight, "quant_state", None)) is not None
        for tensor in (state.absmax, *((state.state2.absmax,) if state.nested else ()))
    )
    return {
        "weight_bytes": base.weight_bytes + scales,
        "layer_bytes": base.weight_bytes + scales - kept,
        "four_bit_tensors": quantized,
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))  # type: ignore[arg-type]
        return
    found: dict[str, dict[str, int]] = {}
    for method in ("lora", "qlora"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.training.four_bit", method], stdout=subprocess.PIPE, check=True
        )
        found[method] = json.loads(done.stdout.splitlines()[-1])
    ratios = {key: found["qlora"][key] / found["lora"][key] for key in ("weight_bytes", "layer_bytes")}
    print(json.dumps({"bf16": found["lora"], "nf4": found["qlora"], "ratio": ratios}, indent=2))


if __name__ == "__main__":
    main()
