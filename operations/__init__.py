"""What an operator does to a deployed environment beyond deploying it."""
