"""The order of the joints, the lines between them, and how other formats map onto them.

The order follows OpenPose's published output format (doc/02_output.md): BODY_25, face 70 (iBUG 68 and two pupils),
hands 21. "Left" and "right" are always the person's own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

BODY_NAMES: Final = (
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee",
    "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe",
    "RSmallToe", "RHeel",
)  # fmt: skip
(
    NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST, MID_HIP, R_HIP, R_KNEE,
    R_ANKLE, L_HIP, L_KNEE, L_ANKLE, R_EYE, L_EYE, R_EAR, L_EAR, L_BIG_TOE, L_SMALL_TOE, L_HEEL, R_BIG_TOE,
    R_SMALL_TOE, R_HEEL,
) = range(25)  # fmt: skip

BODY_COUNT: Final = 25
FACE_COUNT: Final = 70
HAND_COUNT: Final = 21
JOINT_COUNT: Final = BODY_COUNT + FACE_COUNT + 2 * HAND_COUNT

BODY: Final = slice(0, 25)
FACE: Final = slice(25, 95)
LEFT_HAND: Final = slice(95, 116)
RIGHT_HAND: Final = slice(116, 137)

BODY_LIMBS: Final = (
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14),
    (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24),
)  # fmt: skip
"""The limbs that OpenPose draws, as pairs of BODY_25 indices."""


FACE_PATHS: Final = (
    tuple(range(17)),
    tuple(range(17, 22)),
    tuple(range(22, 27)),
    tuple(range(27, 31)),
    tuple(range(31, 36)),
    (*range(36, 42), 36),
    (*range(42, 48), 42),
    (*range(48, 60), 48),
    (*range(60, 68), 60),
)
"""Lines through indices of the face's 70 points: jaw, right and left brow, bridge and base of the nose, right and left
eye, outer and inner lip. The pupils (68, 69) are dots."""

FINGER_PATHS: Final = tuple((0, *range(1 + 4 * finger, 5 + 4 * finger)) for finger in range(5))
"""Lines through indices of a hand's 21 points, from the wrist to each finger tip, thumb first."""

HAND_LINES: Final = tuple(line for finger in FINGER_PATHS for line in pairwise(finger))
"""The same lines as pairs of indices."""

COCO18_TO_BODY: Final = (
    (0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (9, 8), (10, 9), (11, 10), (12, 11), (13, 12),
    (14, 13), (15, 14), (16, 15), (17, 16), (18, 17),
)  # fmt: skip
"""`(BODY_25 index, COCO-18 index)`. MidHip is the hips' midpoint, with the smaller confidence; COCO-18 has no feet."""

MEDIAPIPE_TO_BODY: Final = (
    (0, 0), (2, 12), (3, 14), (4, 16), (5, 11), (6, 13), (7, 15), (9, 24), (10, 26), (11, 28), (12, 23), (13, 25),
    (14, 27), (15, 5), (16, 2), (17, 8), (18, 7), (19, 31), (21, 29), (22, 32), (24, 30),
)  # fmt: skip
"""`(BODY_25 index, MediaPipe 33 index)`. MediaPipe has no small toes, so 20 and 23 stay unseen."""

MEDIAPIPE_MEANS_TO_BODY: Final = ((NECK, 11, 12), (MID_HIP, 23, 24))
"""`(BODY_25 index, two MediaPipe indices)`: the joint is their midpoint, with the smaller visibility."""

MEDIAPIPE_MESH_TO_FACE: Final = (
    127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356,  # jaw
    70, 63, 105, 66, 107,  # right brow
    336, 296, 334, 293, 300,  # left brow
    168, 197, 5, 4,  # bridge of the nose
    98, 97, 2, 326, 327,  # nostrils
    33, 160, 158, 133, 153, 144,  # right eye
    362, 385, 387, 263, 373, 380,  # left eye
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # outer lip
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lip
    468, 473,  # pupils; only in the refined mesh (478 points)
)  # fmt: skip
"""The index in MediaPipe's face mesh of each of the 70 face points."""

WHOLE_BODY_TO_BODY: Final = (
    (0, 0), (2, 6), (3, 8), (4, 10), (5, 5), (6, 7), (7, 9), (9, 12), (10, 14), (11, 16), (12, 11), (13, 13), (14, 15),
    (15, 2), (16, 1), (17, 4), (18, 3), (19, 17), (20, 18), (21, 19), (22, 20), (23, 21), (24, 22),
)  # fmt: skip
"""`(BODY_25 index, COCO-WholeBody index)`: the 17 body points are COCO's, 17-22 are the feet, left foot first."""

WHOLE_BODY_MEANS_TO_BODY: Final = ((NECK, 5, 6), (MID_HIP, 11, 12))
"""`(BODY_25 index, two COCO-WholeBody indices)`: the joint is their midpoint, with the smaller confidence."""

WHOLE_BODY_FACE: Final = slice(23, 91)
"""The 68 iBUG points among COCO-WholeBody's 133, which include no pupils."""

WHOLE_BODY_LEFT_HAND: Final = slice(91, 112)
WHOLE_BODY_RIGHT_HAND: Final = slice(112, 133)

FACE_EYES: Final = ((68, slice(36, 42)), (69, slice(42, 48)))
"""`(pupil, outline of the eye)` as indices of the face's 70 points, right eye first."""

HALPE26_TO_BODY: Final = (
    *WHOLE_BODY_TO_BODY[:17], (19, 20), (20, 22), (21, 24), (22, 21), (23, 23), (24, 25),
)  # fmt: skip
"""`(BODY_25 index, Halpe-26 index)`: the first 17 are COCO's; Halpe's head, neck and hip (17 to 19) are not used."""

OTHER_BODIES: Final = {
    17: (WHOLE_BODY_TO_BODY[:17], WHOLE_BODY_MEANS_TO_BODY),
    18: (COCO18_TO_BODY, ((MID_HIP, 8, 11),)),
    26: (HALPE26_TO_BODY, WHOLE_BODY_MEANS_TO_BODY),
}
"""Bodies of other formats by their number of parts: COCO, OpenPose's COCO, Halpe (AlphaPose and RTMPose).

The values are the joints, and the joints that are the midpoint of two parts, as above.
"""


def _mirrored() -> tuple[int, ...]:
    other = {"L": "R", "R": "L"}
    body = [
        BODY_NAMES.index(swapped) if (swapped := other.get(name[0], "") + name[1:]) in BODY_NAMES else index
        for index, name in enumerate(BODY_NAMES)
    ]
    face = [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # bridge of the nose
        *range(35, 30, -1),  # base of the nose
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  # eyes
        *range(54, 47, -1), *range(59, 54, -1),  # outer lip
        *range(64, 59, -1), *range(67, 64, -1),  # inner lip
        69, 68,  # pupils
    ]  # fmt: skip
    right, left = range(RIGHT_HAND.start, RIGHT_HAND.stop), range(LEFT_HAND.start, LEFT_HAND.stop)
    return (*body, *(FACE.start + point for point in face), *right, *left)


MIRRORED: Final = _mirrored()
"""The joint that takes each joint's place in a mirror."""
