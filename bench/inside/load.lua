-- For wrk: sends the same request again and again, and prints what came of it as JSON (bench/https-load.ts).
-- LOAD_HOSTS (blanks between; each thread takes the next), LOAD_PORT and LOAD_BODY (a file) are in the environment.
local hosts, threads = {}, 0
for host in os.getenv("LOAD_HOSTS"):gmatch("%S+") do hosts[#hosts + 1] = host end
local file = assert(io.open(os.getenv("LOAD_BODY")))
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["content-type"] = "application/json"
file:close()

function setup(thread)
  thread.addr = wrk.lookup(hosts[threads % #hosts + 1], os.getenv("LOAD_PORT"))[1]
  threads = threads + 1
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\n{"perSecond":%f,"p50":%f,"p99":%f,"failed":%d}\n', summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
