"""The vector service over HTTP, beside hnswlib in process and a bare handler around it, in the same minutes."""
