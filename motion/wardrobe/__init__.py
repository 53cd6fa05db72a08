"""The wardrobe: the actor's own limbs, cut from key frames of the footage and moved into an asked pose.

The picture so drawn is the *reference*, an input of the generator. Training and serving share this code, which uses
NumPy and OpenCV only and is deterministic. In the line of Balakrishnan et al. 2018 ("Synthesizing Images of Humans in
Unseen Poses") and Liu et al. 2019 ("Liquid Warping GAN"), with a few affine moves in place of networks.

limbs: the 14 limbs. placing: where they lie in a pose. cutting, colours, consensus, make: from footage to wardrobe.
pieces, storage: what a wardrobe contains, and its file. choose, moving, draw: from wardrobe and pose to reference.
"""
