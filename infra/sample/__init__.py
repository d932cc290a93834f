"""The sample: voucher records like those behind the source system's published table."""
