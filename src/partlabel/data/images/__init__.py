"""Images: decoding, transforms, datasets and loaders."""
