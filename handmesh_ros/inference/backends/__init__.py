"""What runs a network's graph: ONNX Runtime, OpenVINO and PyTorch, and the choice between them."""
