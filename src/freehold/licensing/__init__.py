"""Rules over licence clauses: may I use this model for this, and what must I do? Pure."""
