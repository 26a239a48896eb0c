"""The few compiled hot loops, each with a reference library as its oracle (`engine="reference"` in bq.analysis)."""
