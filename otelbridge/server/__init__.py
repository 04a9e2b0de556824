"""Serving an application on Hypercorn: one process that supervises, workers that serve. `supervisor` is its heart."""
