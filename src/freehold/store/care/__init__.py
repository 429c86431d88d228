"""Care for a store: check, back up, restore, erase, give back room."""
