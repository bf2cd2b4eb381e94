"""From words and YAML files to checked arguments, objects and messages."""
