-- KEYS: the login session, news. ARGV: channel, key. The user's list forgets it when it lapses, and shows none that is not there.
if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
tell(KEYS[2], ARGV[1], 'kind', 'login-ended', 'login', ARGV[2])
return 1
