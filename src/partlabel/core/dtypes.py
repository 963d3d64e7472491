"""Precision of sums that single precision would spoil."""

import torch


def double_if_supported(device: torch.device) -> torch.dtype:
    """Return double precision where the device supports it, which Apple's MPS does not."""
    return torch.float32 if device.type == "mps" else torch.float64
