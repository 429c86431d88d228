"""One record for each screen of the console."""
