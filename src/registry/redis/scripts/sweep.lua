-- KEYS: revoked. ARGV: where the last one ended, how long a filling may take (ms). Removes some of what has lapsed.
local now = now_ms()
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 200)
for i = 1, #page[2], 2 do
  local field, value = page[2][i], page[2][i + 1]
  local _, till = string.match(value, '^(%d+) (%d+)$')
  local filling = string.match(field, '^=filling:') and tonumber(value)
  if (till and tonumber(till) * 1000 <= now) or (filling and filling + ARGV[2] <= now) then
    redis.call('HDEL', KEYS[1], field)
  end
end
return page[1]
