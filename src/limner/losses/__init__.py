"""Pure functions of tensors; one value for each image, never a mean over the batch."""
