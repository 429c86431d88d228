"""A small shape to change one size of."""

from freehold.types.model import Shape


def shape(**changes):
    base = {
        "architecture": "llama",
        "layers": 4,
        "hidden": 256,
        "heads": 8,
        "kv_heads": 2,
        "head_dim": 32,
        "ffn": 512,
        "vocabulary": 1000,
        "context_tokens": 8192,
        "tied_embeddings": True,
        "attention": ("full",) * 4,
    }
    return Shape(**(base | changes))
