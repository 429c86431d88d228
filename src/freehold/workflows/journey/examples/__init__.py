"""Which training samples are shown to a model as examples, and how many in which order."""
