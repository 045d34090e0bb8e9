-- KEYS: the login session, news. ARGV: channel, key.
local value = redis.call('GET', KEYS[1])
if not value then
  return 0
end
redis.call('DEL', KEYS[1])
local user = string.match(value, '^([^\n]+)\n')
if user then
  -- Gone from the user's list at once, or it would count towards how many there may be.
  local tag = string.sub(KEYS[1], 1, -#('login:' .. ARGV[2]) - 1)
  redis.call('ZREM', tag .. 'logins:' .. user, ARGV[2])
  tell(KEYS[2], ARGV[1], 'kind', 'login-ended', 'login', ARGV[2], 'user', user)
else
  tell(KEYS[2], ARGV[1], 'kind', 'login-ended', 'login', ARGV[2])
end
return 1
