"""Commands under the heading "Coding agents" of `freehold --help`."""
