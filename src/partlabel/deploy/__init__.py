"""Export of a trained tagger: ONNX, hub folders, an HTTP server."""
