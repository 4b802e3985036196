-- Put before every script that reads or writes the records of Subscriptions.
-- A record is one packed array; its places:
local STATUS, DEFINITION, NUMBER, CURSOR, FENCE, LEASE = 1, 2, 3, 4, 5, 6
local FAILURES, NOT_BEFORE, FAILING_SINCE, LAST_SENT, HEARTBEAT, ENDS = 7, 8, 9, 10, 11, 12
local FIRST_KEPT, DUTY, VERIFIED, FROZEN, FAREWELL, REFUSED = 13, 14, 15, 16, 17, 18
local MOST, SINGLY, HELD, TIMEOUT, OWNER, CLASSIC = 19, 20, 21, 22, 23, 24 -- CLASSIC 1: only events are sent
local DEAF, LISTENER = 25, 26 -- DEAF 1: nobody listens, so nothing is due but its own end; LISTENER: who holds its socket, ''
local AGAIN, FORGIVEN, PAUSED = 27, 28, 29 -- AGAIN: what is to be sent again (again_head); FORGIVEN: dead letters up to here hold nothing back
-- PAUSED: nothing is sent while it is not 0; a sum of 1 (by request), 2 (its topic is stopped), 4 (its endpoint is stopped)
local SIGNED = 30 -- generation of its signing secrets; 0 or less: it is not signed
local REQUESTED, ACTIVE, ERROR, OFF, GONE = 1, 2, 3, 4, 6
local HANDSHAKE, EVENTS, BEAT, GOODBYE, REPEAT = 1, 2, 3, 4, 5
local MOST_TRANSITIONS = 50
local LEASE_MARGIN = 5000 -- an attempt may take its whole time-out; the lease must outlive it

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local function deaf(m) return m[DEAF] == 1 end
local function hears(m, is_deaf, listener) m[DEAF], m[LISTENER] = is_deaf, listener end

local function read_record(raw) -- an older record has fewer places, and no place may be skipped
  local m = raw and cmsgpack.unpack(raw)
  if not m then return nil end
  m[CLASSIC], m[DEAF], m[LISTENER] = m[CLASSIC] or 0, m[DEAF] or 0, m[LISTENER] or ''
  m[AGAIN], m[FORGIVEN], m[PAUSED] = m[AGAIN] or '', m[FORGIVEN] or 0, m[PAUSED] or 0
  m[SIGNED] = m[SIGNED] or 0
  return m
end

-- Every change of status, with its cause, in the step that makes it; the last ones of each Subscription.
local function note(transitions, sub, from, to, cause)
  local raw = redis.call('HGET', transitions, sub)
  local kept = raw and cjson.decode(raw) or {}
  kept[#kept+1] = {now, from, to, cause}
  if #kept > MOST_TRANSITIONS then table.remove(kept, 1) end
  redis.call('HSET', transitions, sub, cjson.encode(kept))
end

-- What is to be sent again: 'first-last@ms asked' with r (dead letters) and s (one by one), stretches separated by blanks.
local function again_head(m)
  local first, last, mark, singly, rest = string.match(m[AGAIN], '^(%d+)%-(%d+)(@%d+r?)(s?) ?(.*)$')
  return tonumber(first), tonumber(last), mark, singly, rest
end
local function again_put(m, stretches, rest)
  if rest ~= '' then stretches[#stretches+1] = rest end
  m[AGAIN] = table.concat(stretches, ' ')
end
local function stretch(first, last, mark) return string.format('%.0f-%.0f', first, last) .. mark end
local function again_batch(m) -- {first, last, are dead letters, asked at} of the next attempt
  if m[AGAIN] == '' then return 0, 0, 0, 0 end
  local first, last, mark, singly = again_head(m)
  local asked, letters = string.match(mark, '^@(%d+)(r?)$')
  return first, math.min(last, first + (singly == 's' and 1 or m[MOST]) - 1), letters == 'r' and 1 or 0, tonumber(asked)
end
local function again_done(m, upto)
  local _, last, mark, singly, rest = again_head(m)
  again_put(m, upto < last and {stretch(upto + 1, last, mark .. singly)} or {}, rest)
end
local function again_singly(m, upto) -- a batch was refused: its events go one by one
  local first, last, mark, singly, rest = again_head(m)
  local parts = {stretch(first, upto, mark .. 's')}
  if upto < last then parts[2] = stretch(upto + 1, last, mark .. singly) end
  again_put(m, parts, rest)
end

local function running(m) return m[STATUS] == ACTIVE or m[STATUS] == ERROR end
local function ended(m) return m[ENDS] > 0 and m[ENDS] <= now end
local function living(m) return (m[STATUS] == REQUESTED or running(m)) and not ended(m) end
local function beating(m) return m[HEARTBEAT] > 0 and (m[STATUS] == ACTIVE or (m[STATUS] == ERROR and m[HELD] == 1)) end
-- In error with nothing to retry: a heartbeat is the retry, or it would stay in error for ever.
local function probing(m) return m[STATUS] == ERROR and m[HELD] == 0 and m[FAILURES] > 0 end

-- What is to be done for this Subscription and when: {duty, moment}, or nil. The one place that decides it.
local function next_duty(m)
  if m[PAUSED] > 0 then return nil end
  if m[STATUS] == OFF and m[FAREWELL] == 1 then return GOODBYE, now end
  if not living(m) or deaf(m) then return nil end
  local duty, moment
  if m[HELD] == 0 then
    if m[VERIFIED] == 0 then duty, moment = HANDSHAKE, m[NOT_BEFORE]
    elseif running(m) and m[CURSOR] < m[NUMBER] then duty, moment = EVENTS, m[NOT_BEFORE]
    elseif running(m) and m[AGAIN] ~= '' then duty, moment = REPEAT, m[NOT_BEFORE]
    elseif probing(m) then duty, moment = BEAT, m[NOT_BEFORE] end
  end
  if beating(m) and m[VERIFIED] == 1 then
    local beat = math.max(m[LAST_SENT] + m[HEARTBEAT], m[NOT_BEFORE])
    if not moment or beat < moment then duty, moment = BEAT, beat end
  end
  return duty, moment
end

-- When the agenda must look at it again: the end of its lease, its next duty, or its own end.
local function next_due(m)
  if m[LEASE] > 0 then return m[LEASE] end
  local _, moment = next_duty(m)
  local open = m[STATUS] == REQUESTED or running(m)
  if m[ENDS] > 0 and open and (not moment or m[ENDS] < moment) then moment = m[ENDS] end
  return moment and math.max(moment, 0)
end

-- Hold it for one attempt of `owner`. A batch is frozen here, before it is first attempted, so that every retry repeats exactly it.
local function hold(m, duty, owner)
  m[OWNER] = owner
  m[FENCE] = m[FENCE] + 1
  m[LEASE] = now + m[TIMEOUT] + LEASE_MARGIN
  m[DUTY] = duty
  if duty == EVENTS and m[FROZEN] <= m[CURSOR] then
    local most = m[CURSOR] < m[SINGLY] and 1 or m[MOST]
    m[FROZEN] = math.min(m[NUMBER], m[CURSOR] + most)
  end
end

-- What FAREWELL becomes when it is switched off: a last word goes only to who was spoken to before.
local function last_word(m) return (m[CLASSIC] == 1 or deaf(m)) and 0 or m[VERIFIED] end

local function failing_for(m) return m[FAILING_SINCE] > 0 and now - m[FAILING_SINCE] or 0 end

-- What a holder is told: {sub, duty, fence, status, definition, number, cursor, first kept, frozen, failures,
--                         failing for ms, refused, singly, held, verified, heartbeat ms, classic, listener, forgiven,
--                         again: first, last, are dead letters, asked at, signed}
local function told(sub, m)
  local first, last, letters, asked = again_batch(m)
  return {sub, m[DUTY], m[FENCE], m[STATUS], m[DEFINITION], m[NUMBER], m[CURSOR], m[FIRST_KEPT], m[FROZEN],
          m[FAILURES], failing_for(m), m[REFUSED], m[SINGLY], m[HELD], m[VERIFIED], m[HEARTBEAT], m[CLASSIC],
          m[LISTENER], m[FORGIVEN], first, last, letters, asked, math.max(m[SIGNED], 0)}
end

local function put_due(due, changed)
  local add, remove = {}, {}
  for sub, m in pairs(changed) do
    local moment = next_due(m)
    if moment then add[#add+1] = moment add[#add+1] = sub else remove[#remove+1] = sub end
  end
  if #add > 0 then redis.call('ZADD', due, unpack(add)) end
  if #remove > 0 then redis.call('ZREM', due, unpack(remove)) end
end

local function put_records(records, changed)
  local write = {}
  for sub, m in pairs(changed) do write[#write+1] = sub write[#write+1] = cmsgpack.pack(m) end
  if #write > 0 then redis.call('HSET', records, unpack(write)) end
end
