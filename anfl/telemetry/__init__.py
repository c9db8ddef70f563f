"""Logs and metrics in one form for functions, services and jobs."""
