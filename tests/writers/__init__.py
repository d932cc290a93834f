"""Parquet by writers of someone else, made in an environment of their own (infra/tools/writers.txt).

Each file holds the same voucher records in another form: whoever reads it right gets the same counts.
"""
