"""Checks of an AWS account before a deployment, and of what it negotiates afterwards."""
