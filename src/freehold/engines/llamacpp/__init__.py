"""llama.cpp, embedded: the prebuilt library with its own OpenAI server, in a child process."""
