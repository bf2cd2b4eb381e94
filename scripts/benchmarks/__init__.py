"""The plain programs that limner is measured against, and what gives each its turn."""
