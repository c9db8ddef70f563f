"""Builds what the functions and services ship, without Docker: bundles cached by content, image tags from content."""
