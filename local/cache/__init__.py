"""The caches of a local run: a real Valkey each, behind a door that lets in whom ElastiCache would."""
