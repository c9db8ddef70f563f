"""Moves of collections from one engine to another, while they are read and written. docs/engines.md."""
