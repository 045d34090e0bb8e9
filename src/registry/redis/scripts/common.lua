-- Redis's clock, so that no node's matters. Milliseconds since 1970.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Readers of the stream are woken; what they read is the stream.
local function tell(stream, channel, ...)
  local id = redis.call('XADD', stream, 'MAXLEN', '~', 10000, '*', ...)
  -- Who is not woken looks a second later: that it can't be said is no reason to stop half-way.
  redis.pcall('PUBLISH', channel, id)
end
