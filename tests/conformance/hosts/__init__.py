"""Sinks, and the programs, threads and processes that log to them."""
