"""Which addresses are a private network's: the nodes' own, and so those of the VPC in which they stand."""

import ipaddress

PRIVATE_NETWORKS = tuple(ipaddress.IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918, section 3."""
