"""What goes in: label tables, their readers, hiding, statistics, word vectors, images."""
