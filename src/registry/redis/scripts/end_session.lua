-- KEYS: the user's sessions, news. ARGV: channel, user, session.
local value = redis.call('HGET', KEYS[1], ARGV[3])
if not value then
  return 0
end
local _, _, node = session(value)
redis.call('HDEL', KEYS[1], ARGV[3])
tell(KEYS[2], ARGV[1], 'kind', 'session-ended', 'user', ARGV[2], 'session', ARGV[3], 'node', node or '', 'why', 'asked')
return 1
