"""An exported model behind HTTP: FastAPI over onnxruntime, without PyTorch. `partlabel serve`; docs/serving.md."""
