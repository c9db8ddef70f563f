"""Which nodes of a service there are, on which of them a collection lives, and how a request comes there."""
