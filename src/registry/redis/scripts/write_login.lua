-- KEYS: the login session, then its user's login sessions, if it has a user.
-- ARGV: key, value, ttl (ms), 'NX' or 'XX', how many login sessions a user may have.
if not redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], ARGV[4]) then
  return 0
end
if KEYS[2] then
  local now = now_ms()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
  -- Not counted with the others: whatever its end is, this one stays.
  redis.call('ZREM', KEYS[2], ARGV[1])
  local too_many = redis.call('ZCARD', KEYS[2]) + 1 - ARGV[5]
  if too_many > 0 then
    local before, user = string.sub(KEYS[1], 1, -#ARGV[1] - 1), string.match(ARGV[2], '^[^\n]*\n')
    local first = redis.call('ZPOPMIN', KEYS[2], too_many)
    for i = 1, #first, 2 do
      local value = redis.call('GET', before .. first[i])
      -- It may have become somebody else's.
      if value and string.sub(value, 1, #user) == user then
        redis.call('DEL', before .. first[i])
      end
    end
  end
  redis.call('ZADD', KEYS[2], whole(now + ARGV[3]), ARGV[1])
  redis.call('PEXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
end
return 1
