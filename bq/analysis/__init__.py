"""What one price history measures: cycles, forecasts, volatility, option values."""
