"""From events to out-of-sample evidence and a fitted model."""
