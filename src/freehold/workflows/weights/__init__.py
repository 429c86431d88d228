"""Get weights and change them: pull, convert, merge, quantize."""
