"""What both ECS services share of HTTP: authentication, RBAC, limits, problem documents, access log."""
