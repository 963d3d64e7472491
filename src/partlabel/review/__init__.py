"""Review of unknown labels: the order of questions, the log of decisions, and the local web page for both."""
