-- KEYS: the user's sessions, nodes. The ids and values of those on nodes that hold a lease.
local now, nodes, live = now_ms(), leases(KEYS[2]), {}
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local _, started, node = session(entries[i + 1])
  if node and is_live(nodes, node, started, now) then
    table.insert(live, entries[i])
    table.insert(live, entries[i + 1])
  end
end
return live
