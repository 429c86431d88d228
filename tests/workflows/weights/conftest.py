"""Tiny weights and an index of wheels, as the tests of the weights' files have them."""

from tests.engines.weights.conftest import index, make_wheel, settings, tiny_gguf, tiny_safetensors

__all__ = ["index", "make_wheel", "settings", "tiny_gguf", "tiny_safetensors"]
