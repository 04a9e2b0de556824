"""The workshop's own promises."""
