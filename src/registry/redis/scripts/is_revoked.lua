-- KEYS: revoked. ARGV: user, token or '', issued at or ''.
return verdict(KEYS[1], ARGV[1], ARGV[2], ARGV[3], now_ms())
