"""actor.json as earlier releases wrote it."""

from __future__ import annotations

from typing import Final

WITHOUT_WARDROBE: Final = """\
{
  "format": 1,
  "id": "sample",
  "version": 1,
  "label_map_version": 1,
  "keypoint_format": "BODY_25+FACE_70+HAND_21x2",
  "stage": {
    "x_px": -15,
    "y_px": -7,
    "width_px": 518,
    "height_px": 518,
    "out_width_px": 256,
    "out_height_px": 256
  },
  "frame_size": {
    "width_px": 512,
    "height_px": 512
  },
  "frame_rate_hz": 15.0,
  "body": {
    "near_ankle_y": 0.8785583901405335,
    "far_ankle_y": 0.8124638235569,
    "near_height": 0.5988589714754047,
    "far_height": 0.5276486212605174,
    "hip_x": 0.46240366995334625,
    "frames": 900
  },
  "face_rule": {
    "side_per_face_size": 2.0,
    "min_side_px": 16,
    "crop_px": 128
  },
  "generator": {
    "base_channels": 32,
    "downsamplings": 3,
    "blocks": 6,
    "plate": true
  },
  "face": {
    "base_channels": 16,
    "downsamplings": 3,
    "blocks": 5,
    "plate": false
  },
  "preset": "slim-256",
  "trained": {
    "footage": "actor_footage.mp4",
    "footage_report": {
      "frames": 900,
      "frames_with_a_person": 900,
      "frames_with_a_whole_body": 900,
      "frames_with_props": 17,
      "frames_with_shadows": 201,
      "frames_with_either": 203,
      "frames_lost": 0,
      "plate_never_seen": 0.0002
    },
    "body_pictures": 2268,
    "face_pictures": 1050,
    "minutes": 20.0,
    "precision": "bf16",
    "seed": 0,
    "state": "3570caf97bda6ad1",
    "torch": "2.13.0+cpu"
  },
  "scores": {
    "held_out": {
      "frames": 32,
      "body_ssim": 0.801,
      "body_psnr_db": 22.4924,
      "faces": 32,
      "face_ssim": 0.7616,
      "face_psnr_db": 21.3573
    },
    "held_out_without_face_network": {
      "frames": 32,
      "body_ssim": 0.7954,
      "body_psnr_db": 22.3004,
      "faces": 32,
      "face_ssim": 0.6488,
      "face_psnr_db": 19.1559
    },
    "pose_distance": {
      "frames": 32,
      "frames_with_a_pose": 32,
      "distance": 0.037
    },
    "nearest_training_frame": {
      "frames": 32,
      "body_ssim": 0.6271,
      "body_psnr_db": 17.9857,
      "faces": 32,
      "face_ssim": 0.4474,
      "face_psnr_db": 15.9953
    },
    "grey_figure": {
      "frames": 32,
      "body_ssim": 0.6744,
      "body_psnr_db": 17.5637,
      "faces": 32,
      "face_ssim": 0.2459,
      "face_psnr_db": 13.3621
    },
    "plate": {
      "frames": 32,
      "body_ssim": 0.6639,
      "body_psnr_db": 15.7196,
      "faces": 32,
      "face_ssim": 0.2533,
      "face_psnr_db": 12.0723
    },
    "pose_distance_floor": {
      "frames": 32,
      "frames_with_a_pose": 32,
      "distance": 0.0202
    }
  },
  "consent": "Nobody's: the sample actor is drawn by samples/renderer.py."
}
"""
"""The sample actor of the last release without wardrobes."""
