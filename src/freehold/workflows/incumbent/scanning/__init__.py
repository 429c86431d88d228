"""How `freehold scan` reads source: strings and imports of each language, and what they mean."""
