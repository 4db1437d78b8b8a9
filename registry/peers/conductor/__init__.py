"""Reads the workflows of Conductor."""
