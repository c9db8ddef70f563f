"""What moto's S3 lacks: replication, and some answers."""
