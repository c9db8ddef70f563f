"""Application encryption: keys that Vault keeps, and what is sealed with them."""
