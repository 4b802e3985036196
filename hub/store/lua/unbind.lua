-- UNBIND: a socket is closed, or lets Subscriptions go; their events wait for the next one.
-- KEYS due, m ; ARGV listener, subs -> for each 1 | 0 another has it, or nobody
-- An attempt that was written before may still be settled: the lease stays.
local names = {}
for i = 2, #ARGV do names[#names+1] = ARGV[i] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local out, changed = {}, {}
for x, sub in ipairs(names) do
  local m = read_record(raw[x])
  if not m or m[LISTENER] ~= ARGV[1] then out[x] = 0
  else
    hears(m, 1, '')
    m[FAREWELL] = 0
    out[x], changed[sub] = 1, m
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return out
