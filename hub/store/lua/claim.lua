-- CLAIM what is due in one shard: handshakes, retries, heartbeats, farewells, events nobody holds; ends what is due to end.
-- KEYS due, m, transitions ; ARGV most, owner
-- -> {what the holder is told (record.lua)} ...   The references are then read with a plain LRANGE; the fence guards what follows.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
if #due == 0 then return {} end
local raw = redis.call('HMGET', KEYS[2], unpack(due))
local out, changed, lost = {}, {}, {}
for x, sub in ipairs(due) do
  local m = read_record(raw[x])
  if not m then lost[#lost+1] = sub
  else
    if m[LEASE] > 0 and m[LEASE] <= now then m[LEASE] = 0 end -- the holder is gone; its fence is about to be passed
    if ended(m) and (m[STATUS] == REQUESTED or running(m)) then
      note(KEYS[3], sub, m, m[STATUS], OFF, AT_ITS_END)
      m[STATUS], m[LEASE], m[FENCE], m[FAREWELL], m[NOT_BEFORE] = OFF, 0, m[FENCE] + 1, last_word(m), 0
    end
    if m[LEASE] == 0 then
      local duty, moment = next_duty(m)
      if duty and moment <= now then hold(m, duty, ARGV[2]) out[#out+1] = told(sub, m) end
    end
    changed[sub] = m
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
if #lost > 0 then redis.call('ZREM', KEYS[1], unpack(lost)) end
return out
