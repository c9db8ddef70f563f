"""The runtime library of ANFL, shared by its Lambda functions and ECS services. Imports no CDK."""
