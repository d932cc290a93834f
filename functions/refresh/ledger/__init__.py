"""What is counted of each object, the totals over all, and the schema that holds both."""
