"""The use cases of the function: refresh, reconcile, count a backlog, verify, answer questions."""
