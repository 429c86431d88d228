"""One of several candidates is chosen on samples of their own, so that the proof looks at one only."""
