"""Training data: labelled photographs, composites of cut-out hands, augmentation, batches."""
