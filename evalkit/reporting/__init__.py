"""Reporting: cells put together to a report, written, and read again."""
