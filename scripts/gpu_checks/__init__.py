"""The checks of gpu_check.py, and the code that runs each within its time limit."""
