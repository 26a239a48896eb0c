"""Markets whose law is known, with the signal put into them. Plain arrays: `market.sources` makes bars of them."""
