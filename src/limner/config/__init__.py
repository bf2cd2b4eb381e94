"""Configs: turn words and YAML files into checked arguments, objects and error messages."""
