-- REMOVE a Subscription. Its record stays as a gravestone, so that its numbers are never given again.
-- KEYS due, m, why, event log, dead letters, attempts, definitions, transitions, signing secrets ; ARGV sub, expected definition version ('' = any), cause and who asks
-- -> {OK, definition version} | {CONFLICT, definition version} | {ABSENT} | {GONE, definition version}
local raw = redis.call('HGET', KEYS[2], ARGV[1])
if not raw then return {'ABSENT'} end
local m = read_record(raw)
if m[STATUS] == GONE then return {'GONE', m[DEFINITION]} end
if ARGV[2] ~= '' and m[DEFINITION] ~= tonumber(ARGV[2]) then return {'CONFLICT', m[DEFINITION]} end
m[DEFINITION] = m[DEFINITION] + 1
local was = m[STATUS]
m[STATUS], m[FENCE], m[LEASE], m[FAREWELL], m[HEARTBEAT], m[ENDS] = GONE, m[FENCE] + 1, 0, 0, 0, 0
m[CURSOR], m[FIRST_KEPT], m[FROZEN], m[FAILURES], m[REFUSED] = m[NUMBER], m[NUMBER] + 1, 0, 0, 0
m[AGAIN], m[FORGIVEN], m[PAUSED], m[NOTED], m[TRIED] = '', m[NUMBER], 0, '', ''
m[SIGNED] = -math.abs(m[SIGNED])
redis.call('HDEL', KEYS[8], ARGV[1])
note(KEYS[8], ARGV[1], m, was, GONE, tonumber(ARGV[3])) -- who asks for it later is told when and by whom it went
put_records(KEYS[2], {[ARGV[1]] = m})
put_due(KEYS[1], {[ARGV[1]] = m})
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[9])
return {'OK', m[DEFINITION]}
