"""Sweeps: each job a run of its own, of which none can stop the others, and a table at the end.

What became of a job stands in its folder (status.json, scores.json) and in the sweep's `.jobs`, so
that the same sweep, started again, runs only what is missing or failed and goes on with what was
interrupted, whatever launcher runs the jobs.
"""
