"""From files to an image: sources, engines, logs."""
