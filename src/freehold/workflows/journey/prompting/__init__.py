"""A model's own prompt: the samples, the endpoints, the money and the files around `freehold.prompts`."""
