"""result_compression: what storing results compressed costs and saves, beside storing them as they are."""

from generate_cases import WAIT, generate, row
from http_cases import drain
from servers import Nginx, Reportd
from stage import Row, alternate


def stored(server):
    """A result of the 2,000,000 rows: its reference, and the bytes of its file."""
    reference = server.order("Flat", wait=WAIT)
    (path,) = server.spool.glob(f"{reference}.*.json")
    return reference, path


def compressed(bench):
    with Reportd("plain", core=None) as plain, Reportd("compressed", core=None, result_compression="zstd") as packed:
        ours, theirs = alternate(bench.pairs, lambda: generate(packed, "Flat"), lambda: generate(plain, "Flat"))
        yield row("generate 2,000,000 rows, stored compressed", "itself, stored plain", ours, theirs, 0.9)
        _, path = stored(plain)
        _, packed_path = stored(packed)
        yield Row("result of 2,000,000 rows, stored compressed", "itself, stored plain", "MB",
                  [packed_path.stat().st_size / 1e6], [path.stat().st_size / 1e6])
        with Reportd("pinned", result_compression="zstd") as server, Nginx(root=plain.spool) as nginx:
            reference, _ = stored(server)
            token = server.tokens[0]
            for connections in (1, 16):
                ours, theirs = alternate(
                    bench.pairs, lambda: drain(bench, server.port, f"/Report?reference={reference}", token, connections)[0],
                    lambda: drain(bench, nginx.port, f"/files/{path.name}", token, connections)[0])
                yield Row(f"download stored compressed, {connections} connection{'s' * (connections > 1)}",
                          "nginx with sendfile, stored plain", "MB/s", ours, theirs)
