"""The screen Proof: what an evaluation showed, item by item, and what would change it."""
