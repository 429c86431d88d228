"""A server of the Model Context Protocol over `freehold.api`.

`tools` say what an agent may ask, `calling` runs one call within `limits` and `places`, `confirming` is what a model
cannot answer for its user. None of them knows the protocol's library: `server` alone does, and it is imported late.
"""
