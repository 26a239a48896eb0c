"""How sure are we: intervals and tests for dependent data."""
