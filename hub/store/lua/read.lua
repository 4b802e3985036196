-- READ records of one shard as they stand. KEYS m, why ; ARGV subs
-- -> for each {} not there | {status, definition, number, cursor, first kept, failures, refused, verified, held, not before, held until, deaf, listener, again, forgiven, paused,
--    newest transitions (note in record.lua), only attempt so far, error or ''}
local raw = redis.call('HMGET', KEYS[1], unpack(ARGV))
local why = redis.call('HMGET', KEYS[2], unpack(ARGV))
local out = {}
for x = 1, #ARGV do
  local m = read_record(raw[x])
  out[x] = m and {m[STATUS], m[DEFINITION], m[NUMBER], m[CURSOR], m[FIRST_KEPT], m[FAILURES], m[REFUSED], m[VERIFIED],
                  m[HELD], m[NOT_BEFORE], m[LEASE], m[DEAF], m[LISTENER], m[AGAIN], m[FORGIVEN],
                  m[PAUSED], m[NOTED], m[TRIED], why[x] or ''} or {}
end
return out
