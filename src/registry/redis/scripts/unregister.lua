-- KEYS: the user's tokens, news, then a token each. ARGV: channel, then the same tokens' ids.
local count = 0
for i = 2, #ARGV do
  if redis.call('DEL', KEYS[i + 1]) == 1 then
    count = count + 1
    tell(KEYS[2], ARGV[1], 'kind', 'token-revoked', 'token', ARGV[i])
  end
  redis.call('ZREM', KEYS[1], ARGV[i])
end
return count
