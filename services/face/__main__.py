"""`python -m services.face`: serves `dance.v1.FaceService`. Settings: `FACE_*`, see README.md."""

if __name__ == "__main__":  # before the imports: a signal during them would end in a traceback
    from serving.process.entry import begin

    begin()

from services.face.servicer import FaceService
from services.face.settings import FaceSettings
from serving.rpc.server import run_service

if __name__ == "__main__":
    run_service(FaceService, FaceSettings, "FACE_")
