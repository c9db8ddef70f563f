"""The model registry: models, versions, aliases, verdicts and artefacts of each tenant.

`keys` documents the table's design, `registry` puts the parts together.
"""
