"""May I use it: rulings, lineage, what a licence asks for, bills of materials."""
