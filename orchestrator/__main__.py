"""`python -m orchestrator`: serves `dance.v1.TransferService`. Settings: `ORCHESTRATOR_*`, see README.md."""

if __name__ == "__main__":  # before the imports: a signal during them would end in a traceback
    from serving.process.entry import begin

    begin()

import cv2

from orchestrator.servicer import TransferService
from orchestrator.settings import OrchestratorSettings
from serving.process.event_loop import fast_event_loop
from serving.process.memory import keep_freed_memory
from serving.rpc.server import run_service

if __name__ == "__main__":
    keep_freed_memory()
    cv2.setNumThreads(1)  # frames are already drawn in parallel; more threads would only contend
    run_service(TransferService, OrchestratorSettings, "ORCHESTRATOR_", loop_factory=fast_event_loop())
