"""The engine ``dynamodb``: rows are items of a table, found by DynamoDB's own vector index. docs/engines.md."""
