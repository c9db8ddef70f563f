"""Requests that somebody might try, sent as bytes to what serves, and what no answer to them may be."""
