"""Going through the blanks of a label table: what is asked first, what was decided, and the page it is done on."""
