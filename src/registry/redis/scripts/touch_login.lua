-- KEYS: the user's login sessions. ARGV: key, ttl (ms). After the login session itself was touched.
local now = now_ms()
redis.call('ZADD', KEYS[1], whole(now + ARGV[2]), ARGV[1])
redis.call('PEXPIREAT', KEYS[1], redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
