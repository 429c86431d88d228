"""Records of what is looked at before anything is trained: models, quantizations, code, plans."""
