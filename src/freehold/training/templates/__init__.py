"""What a chat template writes, and what is done where it leaves out tools and calls."""
