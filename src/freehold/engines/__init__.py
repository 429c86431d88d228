"""What serves a model: llama.cpp, vLLM, Ollama, a remote API, and the shipped fake."""
