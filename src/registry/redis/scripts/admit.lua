-- KEYS: the user's sessions, nodes, revoked, the token, news.
-- ARGV: channel, user, session, node, started, token or '', issued at or '', demand, most or 0, kept for (ms).
local user, id, node, started, token = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now = now_ms()
local registered = ''
if ARGV[8] == 'not-revoked' then
  local judged = verdict(KEYS[3], user, token, ARGV[7], now)
  if judged ~= 'counts' then
    return { judged }
  end
elseif ARGV[8] == 'registered' then
  registered = token ~= '' and redis.call('GET', KEYS[4])
  if not registered or string.match(registered, '^%d+\n([^\n]*)\n') ~= user then
    return { 'not-registered' }
  end
end

local most = tonumber(ARGV[9])
local answer, since, others = { 'in', '', registered }, now, {}
local there = redis.call('HGET', KEYS[1], id)
if there then
  since = tonumber((session(there))) or now
end
-- Without a limit nobody is displaced, and what belongs to dead nodes is looked for now and then only: a table that grows
-- passes this size again.
if most > 0 or redis.call('HLEN', KEYS[1]) % 32 == 0 then
  local nodes, entries = leases(KEYS[2]), redis.call('HGETALL', KEYS[1])
  for i = 1, #entries, 2 do
    local other_since, other_started, other_node = session(entries[i + 1])
    if entries[i] == id then
      -- Itself, asked for again.
    elseif not other_since or is_dead(nodes, other_node, other_started, now) then
      redis.call('HDEL', KEYS[1], entries[i])
    else
      table.insert(others, {
        id = entries[i], value = entries[i + 1], node = other_node, since = tonumber(other_since),
        live = is_live(nodes, other_node, other_started, now),
      })
    end
  end
end
if most > 0 and #others >= most then
  table.sort(others, function(one, other)
    if one.live ~= other.live then
      return other.live
    elseif one.since ~= other.since then
      return one.since < other.since
    end
    return one.id < other.id
  end)
  for i = 1, #others + 1 - most do
    local other = others[i]
    redis.call('HDEL', KEYS[1], other.id)
    tell(KEYS[5], ARGV[1], 'kind', 'session-ended', 'user', user, 'session', other.id, 'node', other.node, 'why', 'pushed-out')
    table.insert(answer, other.id)
    table.insert(answer, other.value)
  end
end
redis.call('HSET', KEYS[1], id, whole(since) .. '\n' .. started .. '\n' .. node .. '\n' .. token)
redis.call('PEXPIRE', KEYS[1], ARGV[10])
answer[2] = whole(since)
return answer
