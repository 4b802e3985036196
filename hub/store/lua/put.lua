-- PUT a Subscription: a new definition and what follows from it for its record, in one step.
-- KEYS due, m, why, definitions, transitions
-- ARGV sub, expected definition version ('' = any, '0' = must not exist or be gone), status ('' = as it is),
--      verify anew (1/0), heartbeat ms, end ms, most events per notification, time-out ms, definition,
--      classic (1/0): no other notification but events is ever sent, needs a handshake (1/0),
--      listened to (1/0): it is sent over a socket that its subscriber opens and binds,
--      what stops it (2 its topic + 4 its endpoint), cause and who writes it
-- -> {OK, definition version, status} | {CONFLICT, definition version} | {ABSENT} | {GONE, definition version}
-- Numbers go on for ever: a Subscription id that was deleted and made again counts from where it was.
-- Run again it writes nothing and answers the same: a definition says when it was written, so it is known again.
local VERSIONS_KEPT = 100
local sub = ARGV[1]
local raw = redis.call('HGET', KEYS[2], sub)
local m = read_record(raw)
local as_asked = m and m[STATUS] ~= GONE and (ARGV[3] == '' or m[STATUS] == tonumber(ARGV[3]))
if as_asked and redis.call('HGET', KEYS[4], m[DEFINITION]) == ARGV[9] then return {'OK', m[DEFINITION], m[STATUS]} end
local creating = ARGV[2] == '0'
if creating then
  if m and m[STATUS] ~= GONE then return {'CONFLICT', m[DEFINITION]} end
  m = m or new_record()
else
  if not m then return {'ABSENT'} end
  if m[STATUS] == GONE then return {'GONE', m[DEFINITION]} end
  if ARGV[2] ~= '' and m[DEFINITION] ~= tonumber(ARGV[2]) then return {'CONFLICT', m[DEFINITION]} end
end
m[DEFINITION] = m[DEFINITION] + 1
m[FENCE], m[LEASE] = m[FENCE] + 1, 0 -- attempts in flight are void
local status = ARGV[3] ~= '' and tonumber(ARGV[3]) or m[STATUS]
if ARGV[4] == '1' or status == REQUESTED then m[VERIFIED], m[FROZEN] = 0, 0 end
m[CLASSIC] = tonumber(ARGV[10])
local at_once = ARGV[11] == '0'
if at_once then m[VERIFIED] = 1 end
local listened = ARGV[12] == '1'
local bound = listened and not creating and m[LISTENER] ~= ''
hears(m, bound and m[DEAF] or (listened and 1 or 0), bound and m[LISTENER] or '')
local restarts = status == REQUESTED or (at_once and status == ACTIVE and ARGV[3] ~= '')
if restarts or creating then -- a fresh start: what held it back is forgiven, what waits stays
  m[FAILURES], m[NOT_BEFORE], m[FAILING_SINCE], m[REFUSED], m[HELD], m[SINGLY] = 0, 0, 0, 0, 0, 0
  m[FORGIVEN] = m[CURSOR]
end
local was_beating = m[HEARTBEAT] > 0
m[FAREWELL] = (status == OFF and m[STATUS] ~= OFF) and last_word(m) or (status == OFF and m[FAREWELL] or 0)
if m[VERIFIED] == 0 then m[FAREWELL] = 0 end -- never to an endpoint that did not shake hands
if status == OFF then m[NOT_BEFORE] = 0 end
if creating or status ~= m[STATUS] then note(KEYS[5], sub, m, creating and 0 or m[STATUS], status, tonumber(ARGV[14])) end
m[PAUSED] = (creating and 0 or m[PAUSED] % 2) + tonumber(ARGV[13])
m[STATUS] = status
m[HEARTBEAT], m[ENDS], m[MOST], m[TIMEOUT] = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if m[HEARTBEAT] == 0 then m[LAST_SENT] = 0 elseif not was_beating then m[LAST_SENT] = now end
redis.call('HSET', KEYS[4], m[DEFINITION], ARGV[9])
redis.call('HDEL', KEYS[4], m[DEFINITION] - VERSIONS_KEPT) -- after the first write that a full Redis refuses
if restarts or creating then redis.call('HDEL', KEYS[3], sub) end
put_records(KEYS[2], {[sub] = m})
put_due(KEYS[1], {[sub] = m})
return {'OK', m[DEFINITION], m[STATUS]}
