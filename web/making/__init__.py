"""Make an actor from the page: footage, consent, a queue, and a training whose progress the page shows."""
