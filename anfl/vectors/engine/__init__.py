"""How rows are searched: immutable segments with a graph, fresh rows scanned exactly."""
