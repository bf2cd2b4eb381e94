"""Tensors in, tensors out: no loss, no batch, no step is known here.

Every file offers the parts of one architecture, by the roles that models hand out:

    Generator(z) -> images in [-1, 1]           Discriminator(images) -> logits (B,)
    Decoder(z) -> raw images                    Encoder(images) -> mean, logvar
    Classifier(images) -> logits (B, K)         MapEncoder(images) -> map of codes, MapDecoder back

and the parts that stand between them or take z's place: priors.py and flow.py (p(z)), codebook.py,
transformer.py (of codes), ladder.py (latent layers). Generators, discriminators, encoders and
decoders of vectors take labels (B,) as a second argument, and need them if they are
conditional (see conditions.py).
"""
