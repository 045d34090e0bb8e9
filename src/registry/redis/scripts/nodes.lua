-- What `nodes` holds: '=began' since when, 'l:<name>' '<lease until> <started>', 'a:<name>' what the node says of itself.
local function leases(key)
  local fields, found = redis.call('HGETALL', key), { of = {} }
  for i = 1, #fields, 2 do
    local name = string.match(fields[i], '^l:(.*)$')
    if name then
      local till, started = string.match(fields[i + 1], '^(%d+) (%d+)$')
      if till then
        found.of[name] = { till = tonumber(till), started = started }
      end
    elseif fields[i] == '=began' then
      found.began = tonumber(fields[i + 1])
    end
  end
  return found
end

local SILENT_FOR = 60000

local function is_live(nodes, name, started, now)
  local lease = nodes.of[name]
  return lease ~= nil and lease.started == started and lease.till > now
end

local function is_dead(nodes, name, started, now)
  local lease = nodes.of[name]
  if lease and lease.started ~= started then
    return true
  end
  local since = lease and lease.till or nodes.began
  return since ~= nil and since + SILENT_FOR <= now
end

-- A session: '<since>\n<started>\n<node>\n<token or nothing>'.
local function session(value)
  return string.match(value, '^(%d+)\n(%d+)\n([^\n]*)\n[^\n]*$')
end
