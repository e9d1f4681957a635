"""Training samples: shards, data sets, augmentation."""
