"""Imports: files of any size, cut into chunks that are stored one by one, each of them once."""
