"""Which tasks are in a log: requests grouped by the template behind their prompt, their tools, schema and model."""
