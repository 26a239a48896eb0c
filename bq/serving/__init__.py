"""From a candidate to a decision: one ONNX graph, a registry of models, the gate, and the answer."""
