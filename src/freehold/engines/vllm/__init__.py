"""vLLM: an environment of its own, and its OpenAI server in a child process."""
