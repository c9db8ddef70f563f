-- Sends the lines of a file as bodies, in turn; prints what it found as one line of JSON.
local requests, position = {}, 0

function init(arguments)
  local headers = { ["content-type"] = "application/json" }
  if arguments[2] and arguments[2] ~= "" then headers["authorization"] = "Bearer " .. arguments[2] end
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", wrk.path, headers, line)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.4f, "p99": %.4f, "longest": %.4f, "refused": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
