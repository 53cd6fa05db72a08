"""`python -m services.pose`: serve `dance.v1.PoseService`. Settings: `POSE_*`, see README.md."""

if __name__ == "__main__":  # before the imports, so that a signal during them does not print a traceback
    from serving.process.entry import begin

    begin()

from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.process.memory import keep_large_blocks_apart
from serving.process.settings import from_environment
from serving.rpc.server import run_service


async def build() -> tuple[PoseService, PoseSettings]:
    """Create the service from the environment. Raises BadSettings."""
    settings = from_environment(PoseSettings, "POSE_")
    keep_large_blocks_apart()
    return PoseService(settings), settings


if __name__ == "__main__":
    run_service(build)
