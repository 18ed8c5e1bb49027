"""What tests share: kubectl, sessions, waiting for a condition."""
