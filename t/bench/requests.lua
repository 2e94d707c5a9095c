-- wrk: sends the requests of a file, whole HTTP requests, each after its length
-- in six digits.
-- Arguments: the file; "again" to begin anew when they run out, else it stops
-- sending; the pause between two requests of a connection in milliseconds.

local requests, at, again, pause

function init(args)
    local f = assert(io.open(args[1], "rb"))
    requests = f:read("*a")
    f:close()

    at = 1
    again = args[2] == "again"
    pause = tonumber(args[3] or "0")

    if pause > 0 then
        delay = function() return math.random(0, 2 * pause) end
    end
end

function request()
    if at > #requests then
        if not again then
            wrk.thread:stop()
        end

        at = 1
    end

    local first = at + 6
    local last = first + tonumber(requests:sub(at, first - 1)) - 1
    at = last + 1

    return requests:sub(first, last)
end

function done(summary, latency)
    local e = summary.errors

    -- as in tokens.lua
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests,
        summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
        latency:percentile(99)))
end
