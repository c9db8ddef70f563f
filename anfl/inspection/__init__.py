"""Inspects model artefacts without executing, importing or unpickling any of them.

`inspector.inspect_files` is the entry: files in, a `report.Report` out. Nothing here knows the registry, AWS or HTTP.
"""
