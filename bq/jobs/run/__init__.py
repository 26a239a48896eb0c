"""A run under way: its lock and phases, its memory, what killed ones left behind, whom it tells."""
