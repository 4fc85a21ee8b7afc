"""Attacks on the real firmware, each a function that says what it found (finding.Finding); suite.py is the table."""
