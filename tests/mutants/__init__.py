"""Mutation tests: whether the tests notice when the rules, the ledger or the lookup are others than they should be."""
