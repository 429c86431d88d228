"""Commands under the heading "Shift traffic" of `freehold --help`."""
