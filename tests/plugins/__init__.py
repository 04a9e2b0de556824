"""Pieces of pytest that hold for all tests: named by tests/conftest.py."""
