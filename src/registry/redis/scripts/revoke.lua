-- KEYS: revoked, news. ARGV: channel, 't' or 'u', name, issued before, until.
add(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if ARGV[2] == 't' then
  tell(KEYS[2], ARGV[1], 'kind', 'token-revoked', 'token', ARGV[3])
else
  tell(KEYS[2], ARGV[1], 'kind', 'user-revoked', 'user', ARGV[3], 'issued-before', ARGV[4])
end
