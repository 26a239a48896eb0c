"""Paths, files, parameters, errors, database, parallel work, logging: what every other folder stands on."""
