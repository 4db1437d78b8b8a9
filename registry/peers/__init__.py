"""Reads workflow files of other programs as commands of the v2 format, as far as the format can say the same."""
