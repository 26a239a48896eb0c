"""Tests; tests/bench measures speed against peers."""
