"""The vector store: collections whose truth is a log of batches in S3."""
