"""Processes: launchers, resources of jobs, and ends of processes."""
