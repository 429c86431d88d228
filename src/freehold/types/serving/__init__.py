"""Records of what serves: clusters, load, traffic that moves to a candidate."""
