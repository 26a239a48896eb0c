"""What `make` does: a module a target (`bq.__main__.TARGETS`), which reads a `request`, works and shows its end.

Beside them stand parts of one target: `health`, `presentation`, `trades` and `trigger` of retrain, `view` of scan.
`run` is what all have in common that leave a run folder.
"""
