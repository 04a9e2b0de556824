"""Delivery: gathers items into requests, sends them again until they are answered, and counts. Formats nothing."""
