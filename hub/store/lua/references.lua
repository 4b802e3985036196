-- REFERENCES of events by number; the first kept number is read here, so that a trim in between cannot shift them.
-- KEYS m, event log ; ARGV sub, first, last -> {number of the first returned, references} ; {0} = none of them is held
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return {0} end
local m = read_record(raw)
local first, last = math.max(tonumber(ARGV[2]), m[FIRST_KEPT]), math.min(tonumber(ARGV[3]), m[NUMBER])
if first > last then return {0} end
return {first, redis.call('LRANGE', KEYS[2], first - m[FIRST_KEPT], last - m[FIRST_KEPT])}
