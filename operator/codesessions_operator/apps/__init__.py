"""Apps: models -> desired (objects, pure) -> observe (facts, pure) -> plan (pure) -> reconcile (I/O)."""
