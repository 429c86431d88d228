"""Commands under the heading "Train" of `freehold --help`."""
