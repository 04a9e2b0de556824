"""Every file in examples/ runs."""
