-- LISTEN: the socket that took Subscriptions over is ready for what comes next; what waits is due now.
-- KEYS due, m ; ARGV listener, subs -> for each 1 | 0 another has it, or nobody
local names = {}
for i = 2, #ARGV do names[#names+1] = ARGV[i] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local out, changed = {}, {}
for x, sub in ipairs(names) do
  local m = read_record(raw[x])
  if not m or m[LISTENER] ~= ARGV[1] then out[x] = 0
  else
    hears(m, 0, ARGV[1])
    m[NOT_BEFORE] = 0
    if m[HEARTBEAT] > 0 then m[LAST_SENT] = now end
    out[x], changed[sub] = 1, m
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return out
