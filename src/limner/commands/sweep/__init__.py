"""Sweeps (`train.py -m`): each job is a run of its own; a table of all jobs stands at the end.

No job can stop another. The outcome of a job is in its folder (status.json, scores.json) and in
the sweep's `.jobs`. So the same sweep, started again, runs only jobs that are missing or failed,
and resumes jobs that were interrupted, whatever launcher runs them.
"""
