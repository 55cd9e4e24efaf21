"""What strikes a cluster: nodes that hang, are cut off or restarted in turn, and its PostgreSQL."""

import random
import threading

import faults
from faults import CRASHING, FAULTS, Choice, full_disk
from history import now_us
from nodes import LEASE

# What is done how often, to one node …
NODE_FAULTS = {**FAULTS, "hang server": 9, "cut network": 12}
del NODE_FAULTS["fill disk"], NODE_FAULTS["restore"]
# … and to what they share.
SHARED_FAULTS = {
    "terminate some": 8, "terminate all": 4, "terminate queries": 3, "restart postgresql": 3,
    "crash postgresql": 3, "rolling restart": 2, "fill disk": 4,
}
# Steps that only a node of several passes.
NODE_CRASHING = [*CRASHING, "node.beat.due", "spool.publish.copied", "spool.publish.committed",
                 "spool.fetch.begun", "store.heartbeat.committed"]
PAUSE = 4  # times that of a single node's faults

SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name"
ALL = SESSIONS + " IN ('reportd', 'reportd spool')"
SOME = ALL + " AND mod(pid, 3) = %d"
QUERIES = SESSIONS + " LIKE 'reportd %-%'"


class NodeFaults(faults.Faults):
    weights, crashing = NODE_FAULTS, NODE_CRASHING

    def __init__(self, seed, site, node, history, stop):
        super().__init__(seed, site, node, history, stop)
        self.deeds |= {"hang server": self.hang_server, "cut network": self.cut_network}

    def restart(self, seams):
        with self.site.starting:
            super().restart(seams)

    def hang_server(self, choice):
        """For longer than its lease: its workers go on, and the others take its reports over."""
        began = now_us()
        self.hold(self.node.process.pid, LEASE * (1.1 + choice.length))
        self.note("hang server", began)

    def cut_network(self, choice):
        """Between it and PostgreSQL, for a moment or longer than its lease; it may die meanwhile."""
        wire, began, kills = self.site.wires[self.node.index], now_us(), choice.victim < 0.2
        wire.tell("cut")
        self.stop.wait(LEASE * (choice.length if choice.size < 0.5 else 1.1 + choice.length))
        if kills:
            self.node.kill()
        wire.tell("repair")
        self.note("cut network", began)
        if kills:
            self.note("kill server", began)
            self.restart(choice.seams)


class SharedFaults(threading.Thread):
    """Does one fault after the other to what the nodes share. `every` are the faults of the nodes."""

    weights = SHARED_FAULTS

    def __init__(self, seed, site, every, history, stop):
        super().__init__(daemon=True)
        self.rng = random.Random(f"{seed}/shared")
        self.site, self.every, self.history, self.stop = site, every, history, stop
        self.counts = {}
        self.broken = None
        self.deeds = {
            "terminate some": lambda choice: self.terminate(SOME % int(3 * choice.victim)),
            "terminate all": lambda choice: self.terminate(ALL),
            "terminate queries": lambda choice: self.terminate(QUERIES),
            "restart postgresql": lambda choice: self.restart("SIGINT", choice),
            "crash postgresql": lambda choice: self.restart("SIGQUIT", choice),
            "rolling restart": self.roll, "fill disk": self.fill_disk,
        }

    def run(self):
        try:
            while not self.stop.is_set():
                choice = Choice(self.rng, self.weights)
                if not self.stop.wait(PAUSE * choice.pause):
                    self.do(choice)
        except Exception as error:  # the driver raises it
            self.broken = error
            self.stop.set()

    def do(self, choice):
        began = now_us()
        if self.deeds[choice.fault](choice) is False:
            return
        self.counts[choice.fault] = self.counts.get(choice.fault, 0) + 1
        self.history.add({"fault": choice.fault, "sent": began, "received": now_us()})

    def terminate(self, sql):
        """The sessions of the nodes; a node that starts may take that for a store it can't open."""
        with self.site.starting:
            self.site.postgres.sql(sql)

    def restart(self, how, choice):
        with self.site.starting:
            self.site.postgres.stop(how)
            self.stop.wait(choice.length if choice.size < 0.3 else 0)
            self.site.postgres.start()

    def roll(self, choice):
        for every in self.every:
            with every.lock:
                if not every.node.has_ended():
                    every.end_server(choice)

    def fill_disk(self, choice):
        if not self.site.disk:
            return False
        with full_disk(self.site.disk, choice):
            self.stop.wait(0.05 + choice.length)
        return True
