"""What goes in and comes out: videos, cameras, keypoint files, comparison views, written videos."""
