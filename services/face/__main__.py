"""`python -m services.face`: serves `dance.v1.FaceService`. Settings: `FACE_*`, see README.md."""

if __name__ == "__main__":  # before the imports: a signal during them would end in a traceback
    from serving.process.entry import begin

    begin()

from services.face.servicer import FaceService
from services.face.settings import FaceSettings
from serving.process.settings import from_environment
from serving.rpc.server import run_service


async def build() -> tuple[FaceService, FaceSettings]:
    """Build the service and its settings. Raises BadSettings."""
    settings = from_environment(FaceSettings, "FACE_")
    return FaceService(settings), settings


if __name__ == "__main__":
    run_service(build)
