-- Makes wrk end with one line of JSON that bench/lib/load.mjs reads; latencies in microseconds. What is asked for beside
-- GET of one target comes by the environment: BENCH_BODY, a file that is posted; BENCH_PIPELINED, how many requests go at
-- once; BENCH_PATHS, targets that are asked for in turn, with a space between them.
local body = os.getenv('BENCH_BODY')
if body then
  local file = assert(io.open(body, 'rb'))
  wrk.method = 'POST'
  wrk.body = file:read('*a')
  wrk.headers['Content-Type'] = 'application/octet-stream'
  file:close()
end

local pipelined = tonumber(os.getenv('BENCH_PIPELINED') or '1')
local paths = os.getenv('BENCH_PATHS')

if pipelined > 1 then
  local all
  init = function()
    local one = {}
    for i = 1, pipelined do one[i] = wrk.format() end
    all = table.concat(one)
  end
  request = function() return all end
elseif paths then
  local requests, next = {}, 0
  init = function()
    for path in paths:gmatch('%S+') do requests[#requests + 1] = wrk.format('GET', path) end
  end
  request = function()
    next = next % #requests + 1
    return requests[next]
  end
end

done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'GYR {"requests":%d,"duration_us":%d,"bytes":%d,"p50":%d,"p99":%d,"p999":%d,"max":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
