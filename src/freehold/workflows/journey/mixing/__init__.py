"""Plan a mixture on the selection split, and look at it once on held-out samples."""
