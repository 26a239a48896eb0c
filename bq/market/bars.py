"""The bar contract."""
