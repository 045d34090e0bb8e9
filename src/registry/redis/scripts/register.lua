-- KEYS: the token, the user's tokens, news. ARGV: channel, token, user, value ('<until>\n<user>\n<roles>'), until (s).
local answer = 'new'
local there = redis.call('GET', KEYS[1])
if there then
  if string.match(there, '^%d+\n([^\n]*)\n') ~= ARGV[3] then
    return 'others'
  end
  answer = there == ARGV[4] and 'same' or 'changed'
end
redis.call('SET', KEYS[1], ARGV[4], 'EXAT', ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(math.floor(now_ms() / 1000)))
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[2])
redis.call('EXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
if answer == 'changed' then
  tell(KEYS[3], ARGV[1], 'kind', 'token-changed', 'token', ARGV[2])
end
return answer
