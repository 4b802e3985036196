-- SETTLE finished attempts of one shard: write what was judged, if the holder still holds; hold again what has more to send.
-- KEYS due, m, why, transitions, then for each attempt: event log, dead letters, attempts
-- ARGV who holds what has more to send ('' = nobody), how many attempts are remembered, then for each attempt (a Subscription at most once per call):
--      sub, fence, status, cursor, failures, delay ms before the next attempt, singly upto, verified, farewell, refused, held,
--      notification sent (1/0), keep the batch frozen (1/0), error ('' = none), dead number (0 = none), dead letter,
--      the attempt as it is remembered, nobody listens (1/0), cause of a change of status,
--      of what was sent again: done upto (0 = nothing), to go one by one upto (0 = as it is)
-- -> for each {0} = FENCED: another holds it, forget it | {1} | {2, told (record.lua), references}
local WIDTH = 21
local names = {}
for i = 3, #ARGV, WIDTH do names[#names+1] = ARGV[i] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local out, changed = {}, {}

local function write_again(m, i, x)
  local first, _, letters = again_batch(m)
  local done, singly = tonumber(ARGV[i+19]), tonumber(ARGV[i+20])
  if done > 0 then
    if letters == 1 and ARGV[i+14] == '0' then -- they have arrived
      for number = first, done do redis.call('HDEL', KEYS[3 + 3*x], number) end
    end
    again_done(m, done)
  elseif singly > 0 then again_singly(m, singly) end
end

-- Most Subscriptions are quiet: a handshake that went well is all there is, and needs no key of its own.
local function remember(m, list, attempt)
  if m[DUTY] == HANDSHAKE and m[TRIED] == '' and redis.call('EXISTS', list) == 0 then m[TRIED] = attempt return end
  local count
  if m[TRIED] ~= '' then count = redis.call('RPUSH', list, m[TRIED], attempt) m[TRIED] = ''
  else count = redis.call('RPUSH', list, attempt) end
  if count > tonumber(ARGV[2]) then redis.call('LPOP', list) end
end

local function write(m, i, x)
  m[LEASE] = 0
  local status = tonumber(ARGV[i+2])
  if status ~= m[STATUS] then note(KEYS[4], names[x], m, m[STATUS], status, tonumber(ARGV[i+18])) end
  m[STATUS] = status
  m[CURSOR] = math.max(m[CURSOR], math.min(tonumber(ARGV[i+3]), m[NUMBER])) -- never backwards, never past what exists
  m[FAILURES] = tonumber(ARGV[i+4])
  if m[FAILURES] == 0 then m[FAILING_SINCE] = 0 elseif m[FAILING_SINCE] == 0 then m[FAILING_SINCE] = now end
  local delay = tonumber(ARGV[i+5])
  m[NOT_BEFORE] = delay > 0 and now + delay or 0
  m[SINGLY], m[VERIFIED], m[FAREWELL] = tonumber(ARGV[i+6]), tonumber(ARGV[i+7]), tonumber(ARGV[i+8])
  m[REFUSED], m[HELD] = tonumber(ARGV[i+9]), tonumber(ARGV[i+10])
  if ARGV[i+11] == '1' and m[HEARTBEAT] > 0 then m[LAST_SENT] = now end
  if ARGV[i+12] == '0' then m[FROZEN] = 0 end
  if ARGV[i+13] == '' then redis.call('HDEL', KEYS[3], names[x]) else redis.call('HSET', KEYS[3], names[x], ARGV[i+13]) end
  if ARGV[i+14] ~= '0' then redis.call('HSET', KEYS[3 + 3*x], ARGV[i+14], ARGV[i+15]) end
  remember(m, KEYS[4 + 3*x], ARGV[i+16])
  if ARGV[i+17] == '1' then hears(m, 1, m[LISTENER]) end
  if m[DUTY] == REPEAT then write_again(m, i, x) end
end

for x, sub in ipairs(names) do
  local i = 3 + (x - 1) * WIDTH
  local m = read_record(raw[x])
  if not m or m[LEASE] == 0 or m[FENCE] ~= tonumber(ARGV[i+1]) then out[x] = {0}
  else
    write(m, i, x)
    out[x] = {1}
    if ARGV[1] ~= '' then
      local duty, moment = next_duty(m)
      if duty == EVENTS and moment <= now then
        hold(m, EVENTS, ARGV[1])
        out[x] = {2, told(sub, m), redis.call('LRANGE', KEYS[2 + 3*x], m[CURSOR] + 1 - m[FIRST_KEPT], m[FROZEN] - m[FIRST_KEPT])}
      end
    end
    changed[sub] = m
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return out
