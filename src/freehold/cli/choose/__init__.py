"""Commands under the heading "Choose" of `freehold --help`."""
