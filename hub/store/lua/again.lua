-- AGAIN: what is to be sent again, after everything else; one attempt at a time, like every other duty.
-- KEYS due, m, dead letters
-- ARGV sub, what is to be sent again as it was read, dead letters that there were, the same with more at its end,
--      first number that the log must hold (0 = none), statuses in which it may be asked for
-- -> {OK} | {MOVED} read it again | {ABSENT} | {STATUS, status}
local m = read_record(redis.call('HGET', KEYS[2], ARGV[1]))
if not m or m[STATUS] == GONE then return {'ABSENT'} end
if not string.find(ARGV[6], string.format('%d', m[STATUS]), 1, true) then return {'STATUS', m[STATUS]} end
local lowest = tonumber(ARGV[5])
if m[AGAIN] ~= ARGV[2] or redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[3]) then return {'MOVED'} end
if lowest > 0 and lowest < m[FIRST_KEPT] then return {'MOVED'} end
m[AGAIN] = ARGV[4]
put_records(KEYS[2], {[ARGV[1]] = m})
put_due(KEYS[1], {[ARGV[1]] = m})
return {'OK'}
