"""Where rendered messages go. A sink writes; it never renders."""
