-- SIGN: a further signing secret for a Subscription, or none any more.
-- KEYS m, signing secrets ; ARGV sub, new secret ('' = stop signing), overlap ms, most secrets at a time
-- -> {OK, ms until which the ones before it sign too, 0 = there were none} | {ABSENT} | {TOO_MANY}
-- Run again it changes nothing: a secret is given once, and there is nothing to stop any more.
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local m = read_record(raw)
if not m or m[STATUS] == GONE then return {'ABSENT'} end
local before = redis.call('HGETALL', KEYS[2])
local stop = ARGV[2] == ''
if stop and m[SIGNED] <= 0 then return {'OK', 0} end
local living, current, latest, known = 0, false, 0, false
for x = 1, #before, 2 do
  local till = tonumber(before[x+1])
  latest = math.max(latest, till)
  known = known or (before[x] == ARGV[2] and till == 0)
  if till ~= 0 and till <= now then redis.call('HDEL', KEYS[2], before[x])
  else living = living + 1 current = current or till == 0 end
end
if known then return {'OK', latest} end
if not stop and living >= tonumber(ARGV[4]) then return {'TOO_MANY'} end
local till = now + tonumber(ARGV[3])
if stop then redis.call('UNLINK', KEYS[2])
else
  for x = 1, #before, 2 do
    if tonumber(before[x+1]) == 0 then redis.call('HSET', KEYS[2], before[x], till) end
  end
  redis.call('HSET', KEYS[2], ARGV[2], 0)
end
local generation = math.abs(m[SIGNED]) + 1 -- never given twice: what is known of one never changes
m[SIGNED] = stop and -generation or generation
put_records(KEYS[1], {[ARGV[1]] = m})
return {'OK', (current and not stop) and till or 0}
