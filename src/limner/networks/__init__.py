"""Tensors in, tensors out: no loss, no batch, no step is known here.

Every file offers the parts of one architecture, by the roles that models hand out:

    Generator(z) -> images in [-1, 1]           Discriminator(images) -> logits (B,)
    Decoder(z) -> raw images                    Encoder(images) -> mean, logvar
    Classifier(images) -> logits (B, K)

All but the last take labels (B,) as a second argument, and need them if they are conditional (see
conditions.py).
"""
