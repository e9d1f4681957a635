"""Checkpoints to graphs: ONNX, opset, precision, int8."""
