"""`python -m web`: serves the page in front of an orchestrator. Settings: `WEB_*`, see README.md."""

if __name__ == "__main__":  # before the imports: a signal during them would end in a traceback
    from serving.process.entry import begin

    begin()

from serving.process.event_loop import fast_event_loop
from serving.process.memory import keep_freed_memory
from serving.rpc.server import run_service
from web.gateway import Gateway
from web.settings import WebSettings

if __name__ == "__main__":
    keep_freed_memory()
    run_service(Gateway, WebSettings, "WEB_", loop_factory=fast_event_loop())
