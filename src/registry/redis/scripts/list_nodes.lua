-- KEYS: nodes. What time it is, and everything.
return { whole(now_ms()), redis.call('HGETALL', KEYS[1]) }
