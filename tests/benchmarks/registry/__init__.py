"""The model registry's service beside MLflow's own server with SQLite: the same requests, in the same minutes."""
