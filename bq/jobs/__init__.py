"""What a make target runs; each module is one target or a family of them."""
