"""Pieces of pytest that hold for all tests: imported by tests/conftest.py."""
