"""HTML reports, plots and the templates that all pages share."""
