"""The shipped fake: an OpenAI-compatible server without a model, so that every step can be rehearsed."""
