"""The project in the browser: a local server, one page, a small script for each screen, no framework."""
