"""How the trainer's own model answers, without any engine: the other side of served scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from freehold.training import base as bases
from freehold.training import formatting, methods
from freehold.types.dataset import Sample
from freehold.types.model import Weights
from freehold.types.training import Adapter


def exact_share(adapter: Adapter, base: Weights, samples: Sequence[Sample]) -> float:
    """Share of samples whose target the adapter would write letter for letter, decoding greedily."""
    import peft
    from safetensors.torch import load_file

    loaded = bases.load(base, adapter.config)
    encoded = formatting.format_samples(loaded.tokenizer, samples, max_tokens=adapter.config.max_tokens)
    trainer = methods.LoraTrainer(loaded, adapter.config)
    peft.set_peft_model_state_dict(trainer.model, load_file(Path(adapter.path) / "adapter_model.safetensors"))
    return trainer.evaluate(encoded.samples).score


if __name__ == "__main__":
    import argparse

    from benchmarks.training.samples import BASE, samples_of
    from freehold import settings, training
    from freehold.workflows.weights.pull import ensure_weights

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    manifest = training.read_manifest(given.adapter)
    assert manifest is not None, f"no adapter in {given.adapter}"
    held_out = samples_of(given.data / "test.csv", "test")
    share = exact_share(manifest, ensure_weights(BASE, settings.load()), held_out)
    print(json.dumps({"items": len(held_out), "right": round(share * len(held_out)), "accuracy": share}))
