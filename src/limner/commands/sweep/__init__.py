"""Sweeps (`train.py -m`): each job is a separate run, and a table of all jobs ends the sweep.

A failed job does not stop the others. The outcome of a job is in its folder (status.json,
scores.json) and in the sweep's `.jobs`. So the same sweep, started again, runs only jobs that are
missing or failed, and resumes interrupted jobs, with any launcher.
"""
