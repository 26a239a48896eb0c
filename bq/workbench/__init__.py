"""Notebooks executed, rendered to reports, and listed: what a person reads of a run."""
