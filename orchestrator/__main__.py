"""`python -m orchestrator`: serves `dance.v1.TransferService`. Settings: `ORCHESTRATOR_*`, see README.md."""

if __name__ == "__main__":  # before the imports: a signal during them would end in a traceback
    from serving.process.entry import begin

    begin()

import cv2

from orchestrator.servicer import TransferService
from orchestrator.settings import OrchestratorSettings
from serving.process.memory import keep_freed_memory
from serving.process.settings import from_environment
from serving.rpc.server import run_service


async def build() -> tuple[TransferService, OrchestratorSettings]:
    """Build the service and its settings. Raises BadSettings."""
    keep_freed_memory()
    cv2.setNumThreads(1)  # frames are already drawn in parallel; more threads would only contend
    settings = from_environment(OrchestratorSettings, "ORCHESTRATOR_")
    return TransferService(settings), settings


if __name__ == "__main__":
    run_service(build)
