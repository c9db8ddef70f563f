"""What is known of the way from one region to the others, which global tables go item by item and in no order."""

REPLICATION_SECONDS = 5.0
"""There and back: within half of it what is written in one region stands in the others, and within the other half what
was written there until then is here. A second or so each way, says AWS, and states no bound."""
