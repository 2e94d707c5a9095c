-- wrk: each request with a token of its own, from a file of 47 bytes a line.
-- Arguments: the file, "-" for none; the method; the path before the token;
-- "again" to begin anew when the tokens run out, else it stops sending.

local size = 47
local tokens, n, total
local method, path, again, headers, body

function init(args)
    method, path, again = args[2], args[3], args[4] == "again"
    headers = {}

    if method == "POST" then
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = "name=Ada+Lovelace&email=ada%40example.org&slot=2026-12-01T10%3A00"
    end

    n = 0
    total = 0

    if args[1] ~= "-" then
        local f = assert(io.open(args[1], "rb"))
        tokens = f:read("*a")
        f:close()
        total = math.floor(#tokens / size)
    end
end

function request()
    local token = ""

    if total > 0 then
        if n == total then
            if not again then
                wrk.thread:stop()
            end

            n = 0
        end

        token = tokens:sub(n * size + 1, n * size + size - 1)
        n = n + 1
    end

    return wrk.format(method, path .. token, headers, body)
end

function done(summary, latency)
    local e = summary.errors

    -- requests, microseconds, answers that are not 2xx or 3xx, broken ones,
    -- 99th percentile of the times that answers took in microseconds
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests,
        summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
        latency:percentile(99)))
end
