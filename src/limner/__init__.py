"""limner: any generative image model x data set x optimizer x accelerator, trained and scored."""

__version__ = "0.1.0"
