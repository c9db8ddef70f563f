"""Processes that read what strangers sent: they know nothing of who starts them, and have only what they are left."""
