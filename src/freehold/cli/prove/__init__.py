"""Commands under the heading "Prove" of `freehold --help`."""
