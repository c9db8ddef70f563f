"""The command line ``anfl``. Goes into no bundle."""
