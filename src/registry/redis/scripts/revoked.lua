-- What `revoked` holds: '=filled' by whom, '=filling:<who>' since when (ms), 't:<token>' and 'u:<user>' with
-- '<issued before> <until>' (seconds; the first is 0 for tokens).
local function larger(one, other)
  return tonumber(one) >= tonumber(other) and one or other
end

local function add(key, kind, name, before, till)
  local field = kind .. ':' .. name
  local there = redis.call('HGET', key, field)
  if there then
    local old_before, old_till = string.match(there, '^(%d+) (%d+)$')
    if old_till then
      before, till = larger(before, old_before), larger(till, old_till)
    end
  end
  redis.call('HSET', key, field, before .. ' ' .. till)
end

-- 'counts', 'revoked', or 'not-filled'. Empty texts stand for no token and no time.
local function verdict(key, user, token, issued, now)
  local found = redis.call('HMGET', key, '=filled', 't:' .. token, 'u:' .. user)
  if not found[1] then
    return 'not-filled'
  end
  if token ~= '' and found[2] then
    local _, till = string.match(found[2], '^(%d+) (%d+)$')
    if till == nil or tonumber(till) * 1000 > now then
      return 'revoked'
    end
  end
  if found[3] then
    local before, till = string.match(found[3], '^(%d+) (%d+)$')
    if till == nil or (tonumber(till) * 1000 > now and (issued == '' or tonumber(issued) < tonumber(before))) then
      return 'revoked'
    end
  end
  return 'counts'
end
