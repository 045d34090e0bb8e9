-- KEYS: revoked. ARGV: of each 't' or 'u', name, issued before, until.
for i = 1, #ARGV, 4 do
  add(KEYS[1], ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
