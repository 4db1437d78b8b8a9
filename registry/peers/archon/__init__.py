"""Reads the workflows of Archon."""
