"""`python -m services.pose`: serve `dance.v1.PoseService`. Settings: `POSE_*`, see README.md."""

if __name__ == "__main__":  # before the imports, so that a signal during them does not print a traceback
    from serving.process.entry import begin

    begin()

import cv2

from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.process.memory import keep_freed_memory
from serving.rpc.server import run_service

if __name__ == "__main__":
    keep_freed_memory()
    cv2.setNumThreads(1)  # pictures are already estimated in parallel; more threads would only contend
    run_service(PoseService, PoseSettings, "POSE_")
