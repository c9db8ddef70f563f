"""What operators do around a deployment: checks before it, what it costs, and the gate of ``make deploy``."""
