"""What is remembered of decisions and of what became of them."""
