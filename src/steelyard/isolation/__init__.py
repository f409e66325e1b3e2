"""Somebody's own code, asked in a process that holds nothing but what it may know."""
