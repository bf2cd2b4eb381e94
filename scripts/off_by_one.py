"""limner with a deliberate fault, the control of kill_test.py.

Every update takes the batch of the next update.
"""

import limner.data.batches as batches
from limner.cli import main

start = batches.TrainingBatches.__init__


def shifted(self, *args, update, **kwargs):
    """Start the batches one update too late."""
    start(self, *args, update=lambda: update() + 1, **kwargs)


batches.TrainingBatches.__init__ = shifted

if __name__ == "__main__":
    main()
