-- bench/lua/life.lua -- whole lives of reports: submit, wait, get, delete; a thread has one connection and is one client.
-- Arguments: API FILE. API is reportd or jsreport; FILE has a line "PATH TOKEN" for each client, whose token is sent.
-- An answer that is not what a live report gives ends the client with an error.
local threads = {}
lives, errors = 0, 0

local function header(headers, name)
  for key, value in pairs(headers) do
    if key:lower() == name then return value end
  end
end

local function is_true(status, _, body)
  return status == 200 and body:find('"result": ?true') ~= nil
end

-- Each step: the request, and what its answer must be; "again" asks once more after a millisecond.
local apis = {}

apis.reportd = {
  {function(token)
    return wrk.format("POST", "/Report", {Authorization = token, Version = "2.0", Host = "bench", Prefer = "wait=30",
      ["Content-Type"] = "application/json"}, '{"reportName": "Tiny", "parameters": {}}')
  end, function(status, headers, body)
    reference = body:match('"data": ?"([^"]+)"')
    return is_true(status, headers, body) and header(headers, "x-report-state") == "complete"
  end},
  {function(token)
    return wrk.format("GET", "/Report?reference=" .. reference, {Authorization = token, Version = "2.0", Host = "bench"})
  end, is_true},
  {function(token)
    return wrk.format("DELETE", "/Report?reference=" .. reference, {Authorization = token, Version = "2.0", Host = "bench"})
  end, is_true},
}

local template = '{"template": {"content": "{\\"one\\": {{one}} }", "engine": "handlebars", "recipe": "html"}, "data": {"one": 1}}'
apis.jsreport = {
  {function()
    return wrk.format("POST", "/api/report", {Host = "bench", ["Content-Type"] = "application/json",
      ["jsreport-options-reports-async"] = "true"}, template)
  end, function(status, headers)
    reference = (header(headers, "location") or ""):match("/reports/([^/]+)/status")
    return status == 200 and reference ~= nil
  end},
  {function() return wrk.format("GET", "/reports/" .. reference .. "/status", {Host = "bench"}) end,
    function(status, headers)
      if header(headers, "report-state") == "planned" then return "again" end
      return status == 201
    end},
  {function() return wrk.format("GET", "/reports/" .. reference .. "/content", {Host = "bench"}) end,
    function(status, _, body) return status == 200 and body:find('"one": 1', 1, true) ~= nil end},
  {function() return wrk.format("DELETE", "/odata/reports(" .. reference .. ")", {Host = "bench"}) end,
    function(status) return status == 204 end},
}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  steps, at, pause = apis[args[1]], 1, 0
  local tokens = {}
  for line in io.lines(args[2]) do
    tokens[#tokens + 1] = line:match("%S+ (%S+)")
  end
  token = tokens[number % #tokens + 1]
end

function delay()
  return pause
end

function request()
  return steps[at][1](token)
end

function response(status, headers, body)
  local right = steps[at][2](status, headers, body)
  pause = right == "again" and 1 or 0
  if not right then
    errors = errors + 1
    io.stderr:write("life.lua: step ", at, ": status ", status, ": ", body:sub(1, 300), "\n")
    wrk.thread:stop()
  elseif right ~= "again" then
    lives = lives + (at == #steps and 1 or 0)
    at = at % #steps + 1
  end
end

function done(summary, latency)
  local all, wrong = 0, 0
  for _, thread in ipairs(threads) do
    all, wrong = all + thread:get("lives"), wrong + thread:get("errors")
  end
  io.write(string.format("requests %d us %d errors %d p50 %d p99 %d\n", all, summary.duration, wrong,
    latency:percentile(50), latency:percentile(99)))
end
