"""Whole sessions of an agent, played again with the recorded results of its tools. No tool is ever run."""
