"""Markets whose law is known, with the signal that was put into them. Plain arrays: `market.sources` makes bars of them."""
