"""What training leaves: adapters, merged and whole models, their files."""
