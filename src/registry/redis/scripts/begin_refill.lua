-- KEYS: revoked. ARGV: who.
if redis.call('HEXISTS', KEYS[1], '=filled') == 1 then
  return 0
end
redis.call('HSET', KEYS[1], '=filling:' .. ARGV[1], whole(now_ms()))
return 1
