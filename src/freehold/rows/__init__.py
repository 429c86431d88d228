"""Files of strangers as rows."""
