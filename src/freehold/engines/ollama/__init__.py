"""An Ollama that runs already."""
