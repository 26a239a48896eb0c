"""Decisions over HTTP: `make serve`."""
