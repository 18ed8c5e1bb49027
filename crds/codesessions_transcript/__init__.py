"""Transcripts of terminals, kept outside their pods: format, reader, and what can be made of them. Pure.

docs/architecture.md, "Transcript", has the format.
"""
