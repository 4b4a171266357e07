"""What a run shows elsewhere than on the terminal: TensorBoard, Ray's dashboard, MLflow, Weights & Biases."""
