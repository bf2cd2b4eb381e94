"""Neural networks: tensors in, tensors out. A network depends on no loss, batch or step.

Every file offers the parts of one architecture, named by the roles that they play in a model:

    Generator(z) -> images in [-1, 1]           Discriminator(images) -> logits (B,)
    Decoder(z) -> raw images                    Encoder(images) -> mean, logvar
    Classifier(images) -> logits (B, K)         MapEncoder(images) -> map, MapDecoder(map)

Other files hold the parts of latent-variable models: priors p(z) (priors.py, flow.py), a codebook
(codebook.py), a transformer over codes (transformer.py), latent layers (ladder.py) and painting
steps (draw.py). Generators, discriminators, encoders and decoders of vectors take labels (B,) as a
second argument, which conditional networks need (conditions.py).
"""
