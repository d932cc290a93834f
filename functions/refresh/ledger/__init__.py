"""What is counted of each object, the totals over all objects, and the schema that holds both."""
