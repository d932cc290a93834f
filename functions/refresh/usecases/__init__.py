"""What the function does with an event: refresh, reconcile, count a backlog, verify."""
