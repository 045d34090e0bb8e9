-- KEYS: nodes. ARGV: name, started.
local now = now_ms()
local lease = leases(KEYS[1]).of[ARGV[1]]
if lease and lease.started == ARGV[2] and lease.till > now then
  redis.call('HSET', KEYS[1], 'l:' .. ARGV[1], whole(now) .. ' ' .. ARGV[2])
end
