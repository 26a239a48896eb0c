"""Parameter search with Optuna: every trial is recorded, and the best is judged against all trials."""
