"""The data plane of API Gateway, its VPC link and the load balancer behind it, serving what the template declares."""
