-- SIGN: a further signing secret for a Subscription, or none any more.
-- KEYS m, signing secrets ; ARGV sub, new secret ('' = stop signing), overlap ms, most secrets at a time
-- -> {OK, ms until which the ones before it sign too, 0 = there were none} | {ABSENT} | {TOO_MANY}
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local m = read_record(raw)
if not m or m[STATUS] == GONE then return {'ABSENT'} end
local before = redis.call('HGETALL', KEYS[2])
local living, current = 0, false
for x = 1, #before, 2 do
  local till = tonumber(before[x+1])
  if till ~= 0 and till <= now then redis.call('HDEL', KEYS[2], before[x])
  else living = living + 1 current = current or till == 0 end
end
local stop = ARGV[2] == ''
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
