"""Decisions that somebody has labelled already, in a table, as events: read, checked, kept.

A table takes the place of bars (`market.source: labelled`). `make collect FROM_FILE=events.parquet` reads it: names are
mapped, units checked, columns that know the answer refused, and every row is accounted for. Training, gate, export and
explanation are then the same as of events that were built from bars. See docs/labelled.md.
"""
