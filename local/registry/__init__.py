"""The model registry's service alone, over an embedded AWS, for clients that are tested against it."""
