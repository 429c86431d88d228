"""Commands under the heading "This machine" of `freehold --help`."""
