"""Where rendered messages go."""
