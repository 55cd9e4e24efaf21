"""A report brought into each of its states, on a server with two workers."""


def queued(client):
    """Endless reports fill the workers; the last one stays queued."""
    for _ in range(2):
        client.wait_for(client.order("Endless"), "processing")
    return client.order("Quick", ProductID="1")


def processing(client):
    reference = client.order("Endless")
    client.wait_for(reference, "processing")
    return reference


def complete(client):
    return client.complete("Quick", ProductID="1")


def error(client):
    reference = client.order("Quick", ProductID="99")
    assert client.finish(reference).json()["data"] == "error"
    return reference


STATES = [queued, processing, complete, error]
