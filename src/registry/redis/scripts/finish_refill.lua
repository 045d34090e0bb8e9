-- KEYS: revoked. ARGV: who. What '=filling' stands in is gone if Redis forgot meanwhile, and so may be what was added since.
if redis.call('HDEL', KEYS[1], '=filling:' .. ARGV[1]) == 1 then
  redis.call('HSETNX', KEYS[1], '=filled', ARGV[1])
end
return redis.call('HEXISTS', KEYS[1], '=filled')
