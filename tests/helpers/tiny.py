"""A network for tests that train by the command line: tiny, with random weights, as its options are typed."""

TINY_NETWORK = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "64"]
