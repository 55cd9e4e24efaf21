-- bench/lua/order.lua -- POST /Report by many users in turn, or DELETE of prepared references.
-- Arguments: METHOD FILE; lines "PATH TOKEN".
-- Only answers with result true count. DELETE ends when all have been deleted; what 64 connections ask beyond that
-- is no error.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long us; } timeval_t; int gettimeofday(timeval_t *, void *);")
local good, time = 0, ffi.new("timeval_t")

local function now()
  ffi.C.gettimeofday(time, nil)
  return tonumber(time.s) * 1000000 + tonumber(time.us)
end

function init(args)
  method, requests, at = args[1], {}, 0
  for line in io.lines(args[2]) do
    local path, token = line:match("(%S+) (%S+)")
    local headers = {["Authorization"] = token, ["Version"] = "2.0", ["Host"] = "bench"}
    local body
    if method == "POST" then
      headers["Content-Type"] = "application/json"
      body = '{"reportName": "Tiny", "parameters": {}}'
    end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
  began = now()
end

function setup(thread)
  all = all or {}
  table.insert(all, thread)
end

function request()
  at = at + 1
  return requests[(at - 1) % #requests + 1]
end

function response(status, headers, body)
  if status == 200 and body:find('"result": true', 1, true) then
    accepted = (accepted or 0) + 1
    took = now() - began -- wrk itself waits until its time is over, also when all is done
    if method == "DELETE" and accepted == #requests then
      wrk.thread:stop()
    end
  end
end

function done(summary, latency)
  local us, wrong = 0, 0
  for _, thread in ipairs(all) do
    good = good + (thread:get("accepted") or 0)
    us = math.max(us, thread:get("took") or 0)
    wrong = thread:get("method") == "POST" and summary.requests - good or 0
  end
  io.write(string.format("requests %d us %d errors %d p50 %d p99 %d\n", good, us,
    wrong, latency:percentile(50), latency:percentile(99)))
end
