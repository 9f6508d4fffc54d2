-- Makes wrk end with one line of JSON that bench/lib/load.mjs reads; latencies in microseconds.
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'GYR {"requests":%d,"duration_us":%d,"bytes":%d,"p50":%d,"p99":%d,"max":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
