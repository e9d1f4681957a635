"""TensorRT and TensorRT-RTX: engines built, cached and run."""
