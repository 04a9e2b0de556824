"""The workshop: one verb per task of a checkout, on the standard library alone (`python3 -m tools VERB`)."""
