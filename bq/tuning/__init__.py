"""Optuna over parameters: every trial is remembered, and what is chosen is judged against all that was tried."""
