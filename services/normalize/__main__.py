"""`python -m services.normalize`: serves `dance.v1.NormalizeService`. Settings: `NORMALIZE_*`, see README.md."""

if __name__ == "__main__":  # before the imports: a signal during them would end in a traceback
    from serving.process.entry import begin

    begin()

from services.normalize.servicer import NormalizeService
from services.normalize.settings import NormalizeSettings
from serving.process.event_loop import fast_event_loop
from serving.process.memory import keep_freed_memory
from serving.rpc.server import run_service

if __name__ == "__main__":
    keep_freed_memory()
    run_service(NormalizeService, NormalizeSettings, "NORMALIZE_", loop_factory=fast_event_loop())
