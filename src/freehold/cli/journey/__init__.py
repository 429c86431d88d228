"""Commands under the heading "The whole journey" of `freehold --help`."""
