"""The refresh function: makes the ledger match the bucket, then publishes as of a day."""
