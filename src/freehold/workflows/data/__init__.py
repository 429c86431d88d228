"""From traffic to a dataset: import, traces, curate, build."""
