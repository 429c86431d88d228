"""Each command's work: joins rooms, owns ids and times."""
