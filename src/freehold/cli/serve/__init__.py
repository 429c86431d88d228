"""Commands under the heading "Serve" of `freehold --help`."""
