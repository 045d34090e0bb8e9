-- KEYS: the login session, then its user's login sessions, if it has a user.
-- ARGV: key, value, ttl (ms), 'NX' or 'XX'.
if not redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], ARGV[4]) then
  return 0
end
if KEYS[2] then
  local now = now_ms()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
  redis.call('ZADD', KEYS[2], whole(now + ARGV[3]), ARGV[1])
  redis.call('PEXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
end
return 1
