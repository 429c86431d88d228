"""A look before anything is spent: can this end in a verdict at all, and in which."""
