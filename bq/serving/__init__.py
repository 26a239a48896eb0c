"""From a trained candidate to a decision: export to ONNX, gate, model registry, and who decides on an event."""
