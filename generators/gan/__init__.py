"""What the GANs are made of: networks, encoders, inversion, published weights."""
