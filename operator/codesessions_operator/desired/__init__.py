"""What a session wants to exist, as plain objects. Pure: session and settings in, dicts out."""
