"""A trained encoder's folder: read, checked and run, for what serves it, what trained it and what searches by it."""
