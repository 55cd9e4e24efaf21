-- bench/lua/poll.lua -- GET with prepared requests, in turn. Arguments: FILE of lines "PATH TOKEN", and "refused" if
-- each has to be answered by an error.
function init(args)
  requests, refused = {}, args[2] == "refused"
  for line in io.lines(args[1]) do
    local path, token = line:match("(%S+) (%S+)")
    requests[#requests + 1] = wrk.format("GET", path, {["Authorization"] = token, ["Version"] = "2.0", ["Host"] = "bench"})
  end
  at = 0
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local wrong = refused and summary.requests - summary.errors.status or summary.errors.status
  io.write(string.format("requests %d us %d errors %d p50 %d p99 %d\n", summary.requests, summary.duration,
    wrong + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.connect,
    latency:percentile(50), latency:percentile(99)))
end
