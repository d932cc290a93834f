"""The dataset in S3: its objects, and their rows batch by batch."""
