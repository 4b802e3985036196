-- BIND: a socket takes Subscriptions of one shard over. Nothing is sent to them until it LISTENs; attempts in flight are void.
-- KEYS due, m ; ARGV listener, then for each: sub, last number its subscriber has seen ('' = what was delivered so far)
-- -> for each {ABSENT} gone, or not sent over a socket | {OFF} | {BEYOND, highest number} | {OK, listener before or '', told (record.lua)}
-- Who has seen more than was settled moves the cursor on; nothing ever moves it back.
local names = {}
for i = 2, #ARGV, 2 do names[#names+1] = ARGV[i] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local out, changed = {}, {}
for x, sub in ipairs(names) do
  local m = read_record(raw[x])
  local seen = tonumber(ARGV[1 + 2*x])
  if not m or m[STATUS] == GONE or not (deaf(m) or m[LISTENER] ~= '') then out[x] = {'ABSENT'}
  elseif not living(m) then out[x] = {'OFF'}
  elseif seen and seen > m[NUMBER] then out[x] = {'BEYOND', m[NUMBER]}
  else
    local before = m[LISTENER]
    if seen and seen > m[CURSOR] then m[CURSOR], m[FROZEN] = seen, 0 end
    if before ~= ARGV[1] or not deaf(m) or m[LEASE] > 0 then -- else it is run again
      m[FENCE], m[LEASE], m[DUTY] = m[FENCE] + 1, 0, HANDSHAKE
    end
    hears(m, 1, ARGV[1])
    out[x] = {'OK', before, told(sub, m)}
    changed[sub] = m
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return out
