"""What the encoder engine is measured next to: sentence-transformers and scikit-learn behind FastAPI, as their own
documentation shows it. ``python -m benchmarks.serving.encoder_peer PORT THREADS MODEL HEADS``."""

from __future__ import annotations

import sys


def main(port: int, threads: int, model: str, heads: str) -> None:
    """Serve ``/classify`` with the same encoder, and heads from a file of arrays."""
    import numpy as np
    import torch
    import uvicorn
    from fastapi import Body, FastAPI
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    encoder = SentenceTransformer(model, device="cpu", local_files_only=True)
    with np.load(heads, allow_pickle=False) as arrays:
        weight, bias = arrays["0.weight"], arrays["0.bias"]
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/classify")
    def classify(text: str = Body(embed=True)) -> dict[str, object]:
        logits = encoder.encode(text, normalize_embeddings=True) @ weight.T + bias
        odds = np.exp(logits - logits.max())
        return {"label": int(odds.argmax()), "probability": float(odds.max() / odds.sum())}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
