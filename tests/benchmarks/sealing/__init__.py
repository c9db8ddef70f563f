"""What sealing costs: a node that seals beside one that does not."""
