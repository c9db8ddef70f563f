"""Finds and removes what a failed first deployment leaves behind."""
