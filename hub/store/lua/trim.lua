-- TRIM the event log of a Subscription, never past its cursor, nor past what is to be sent again from it.
-- KEYS m, event log ; ARGV sub, first number to keep -> numbers dropped
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return 0 end
local m = read_record(raw)
local keep = math.min(tonumber(ARGV[2]), m[CURSOR] + 1)
for first, letters in string.gmatch(m[AGAIN], '(%d+)%-%d+@%d+(r?)') do
  if letters == '' then keep = math.min(keep, tonumber(first)) end -- a dead letter has its reference itself
end
local drop = keep - m[FIRST_KEPT]
if drop <= 0 then return 0 end
redis.call('LTRIM', KEYS[2], drop, -1)
m[FIRST_KEPT] = keep
put_records(KEYS[1], {[ARGV[1]] = m})
return drop
