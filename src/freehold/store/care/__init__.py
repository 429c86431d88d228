"""Care for a store: check, seal, back up, restore, salvage, compact."""
