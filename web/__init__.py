"""The page: dance in a browser. A gateway between browsers and an orchestrator, and the page that it serves."""
