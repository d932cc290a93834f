"""The report: a page that shows what is published, what it is made from, and how the runs went."""
