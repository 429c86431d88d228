"""Paired, clustered and sequential statistics. Pure: values in, values out, seeds are arguments."""
