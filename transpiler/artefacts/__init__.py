"""What leaves the house: a poured Keras model in the formats that others read."""
