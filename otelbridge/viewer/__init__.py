"""What is shown to a person: a loopback OTLP receiver, a bounded store, and pure rendering. Sends nothing anywhere."""
