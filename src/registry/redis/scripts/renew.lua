-- KEYS: nodes. ARGV: name, started, ttl (ms), about, remembered (ms).
local now = now_ms()
redis.call('HSETNX', KEYS[1], '=began', whole(now))
local nodes = leases(KEYS[1])
local lease = nodes.of[ARGV[1]]
local held = lease and lease.till > now
if held and tonumber(lease.started) > tonumber(ARGV[2]) then
  return 'replaced'
end
redis.call('HSET', KEYS[1], 'l:' .. ARGV[1], whole(now + ARGV[3]) .. ' ' .. ARGV[2], 'a:' .. ARGV[1], ARGV[4])
for name, other in pairs(nodes.of) do
  if name ~= ARGV[1] and other.till + ARGV[5] <= now then
    redis.call('HDEL', KEYS[1], 'l:' .. name, 'a:' .. name)
  end
end
-- Longer than any node is remembered, so that a cluster that is no more leaves nothing.
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[5])
return held and lease.started == ARGV[2] and 'kept' or 'anew'
