-- PAUSE: nothing is sent until it is resumed; events are numbered and wait. An attempt in flight may still end well.
-- KEYS due, m, transitions ; ARGV sub, reason (1 by request, 2 its topic, 4 its endpoint), paused (1/0), cause and who asks
-- -> {OK, 1 changed | 0 it was so already} | {ABSENT}
local sub, reason, wanted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local m = read_record(redis.call('HGET', KEYS[2], sub))
if not m or m[STATUS] == GONE then return {'ABSENT'} end
if bit.band(m[PAUSED], reason) == wanted * reason then return {'OK', 0} end
m[PAUSED] = bit.bxor(m[PAUSED], reason)
note(KEYS[3], sub, m, m[STATUS], m[STATUS], tonumber(ARGV[4]))
if m[PAUSED] == 0 then -- what was waited for is over, and a pause is no failure of the endpoint
  m[NOT_BEFORE] = 0
  if m[FAILING_SINCE] > 0 then m[FAILING_SINCE] = now end
end
put_records(KEYS[2], {[sub] = m})
put_due(KEYS[1], {[sub] = m})
return {'OK', 1}
