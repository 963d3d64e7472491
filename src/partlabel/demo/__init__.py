"""The demo and the scenes it draws."""
