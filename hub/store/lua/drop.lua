-- DROP dead letters for good. An attempt in flight is void: it counts them still.
-- KEYS due, m, why, transitions, dead letters
-- ARGV sub, what is to be sent again as it was read, the same without these numbers, cause and who asks, numbers
-- -> {OK, how many there were} | {MOVED} read it again | {ABSENT}
local sub = ARGV[1]
local m = read_record(redis.call('HGET', KEYS[2], sub))
if not m or m[STATUS] == GONE then return {'ABSENT'} end
if m[AGAIN] ~= ARGV[2] then return {'MOVED'} end
local dropped = 0
for i = 5, #ARGV do
  if redis.call('HDEL', KEYS[5], ARGV[i]) == 1 then
    dropped = dropped + 1
    if tonumber(ARGV[i]) > m[FORGIVEN] then m[REFUSED] = math.max(0, m[REFUSED] - 1) end
  end
end
if dropped == 0 and ARGV[2] == ARGV[3] then return {'OK', 0} end -- run again: there is nothing left to do
m[AGAIN] = ARGV[3]
if m[LEASE] > 0 then m[FENCE], m[LEASE] = m[FENCE] + 1, 0 end
-- Nothing holds it back any more (ruling 19). With a backlog the next delivery says so.
if m[STATUS] == ERROR and m[REFUSED] == 0 and m[FAILURES] == 0 and m[HELD] == 0 and m[CURSOR] == m[NUMBER] then
  note(KEYS[4], sub, m, ERROR, ACTIVE, tonumber(ARGV[4]))
  m[STATUS] = ACTIVE
  redis.call('HDEL', KEYS[3], sub)
end
put_records(KEYS[2], {[sub] = m})
put_due(KEYS[1], {[sub] = m})
return {'OK', dropped}
