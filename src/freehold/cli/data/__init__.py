"""Commands under the heading "Your traffic, as data" of `freehold --help`."""
