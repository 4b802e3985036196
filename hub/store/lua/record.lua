-- Put before every script that reads or writes the records of Subscriptions.
-- A record is one packed array, cut off after the last place that says something: an idle Subscription needs few of them,
-- so those come first. Its places:
local STATUS, DEFINITION, NUMBER, CURSOR, FENCE, LEASE = 1, 2, 3, 4, 5, 6
local FIRST_KEPT, DUTY, VERIFIED, MOST, TIMEOUT = 7, 8, 9, 10, 11
local NOTED, TRIED = 12, 13 -- its newest transitions (note); its only attempt so far (settle.lua)
local HEARTBEAT, LAST_SENT, OWNER, FROZEN = 14, 15, 16, 17
local FAILURES, NOT_BEFORE, FAILING_SINCE, ENDS = 18, 19, 20, 21
local FAREWELL, REFUSED, SINGLY, HELD, CLASSIC = 22, 23, 24, 25, 26 -- CLASSIC 1: only events are sent
local DEAF, LISTENER = 27, 28 -- DEAF 1: nobody listens, so nothing is due but its own end; LISTENER: who holds its socket, ''
local AGAIN, FORGIVEN, PAUSED = 29, 30, 31 -- AGAIN: what is to be sent again (again_head); FORGIVEN: dead letters up to here hold nothing back
-- PAUSED: nothing is sent while it is not 0; a sum of 1 (by request), 2 (its topic is stopped), 4 (its endpoint is stopped)
local SIGNED = 32 -- generation of its signing secrets; 0 or less: it is not signed
local PLACES = 32
local NOTHING = {[NOTED] = '', [TRIED] = '', [OWNER] = '', [LISTENER] = '', [AGAIN] = ''} -- 0 in every other place
local REQUESTED, ACTIVE, ERROR, OFF, GONE = 1, 2, 3, 4, 6
local HANDSHAKE, EVENTS, BEAT, GOODBYE, REPEAT = 1, 2, 3, 4, 5
local AT_ITS_END = 10 -- a cause of a transition (status_codes.py)
local MOST_TRANSITIONS, NOTED_HERE, NOTE_SIZE = 50, 4, 8
local LEASE_MARGIN = 5000 -- an attempt may take its whole time-out; the lease must outlive it
local WAITING = '' -- among the records of a shard: how many events wait in it (no Subscription has this name)

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local function deaf(m) return m[DEAF] == 1 end
local function hears(m, is_deaf, listener) m[DEAF], m[LISTENER] = is_deaf, listener end

local function complete(m)
  for place = #m + 1, PLACES do m[place] = NOTHING[place] or 0 end
  return m
end

local waited = {} -- record -> how many of its events waited when it was read
local function waiting(m) return m[STATUS] == GONE and 0 or m[NUMBER] - m[CURSOR] end

local function read_record(raw)
  local m = raw and complete(cmsgpack.unpack(raw)) or nil
  if m then waited[m] = waiting(m) end
  return m
end
local function new_record()
  local m = complete({REQUESTED})
  m[FIRST_KEPT], m[MOST] = 1, 1
  return m
end
local function write_record(m)
  if m[LEASE] == 0 then m[OWNER] = '' end
  local last = PLACES
  while m[last] == (NOTHING[last] or 0) do last = last - 1 end
  return cmsgpack.pack({unpack(m, 1, last)})
end

-- Every change of status, with its cause, in the step that makes it: 6 bytes ms, 1 from and to, 1 cause and whose request it
-- was (status_codes.py).
-- The newest are in the record; older ones, of Subscriptions that have seen more, in a hash.
local function note(transitions, sub, m, from, to, cause)
  m[NOTED] = m[NOTED] .. struct.pack('>I6BB', now, from * 16 + to, cause)
  if #m[NOTED] > NOTED_HERE * NOTE_SIZE then
    local older = (redis.call('HGET', transitions, sub) or '') .. string.sub(m[NOTED], 1, NOTE_SIZE)
    redis.call('HSET', transitions, sub, string.sub(older, -(MOST_TRANSITIONS - NOTED_HERE) * NOTE_SIZE))
    m[NOTED] = string.sub(m[NOTED], NOTE_SIZE + 1)
  end
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

local function held_since(m) return m[LEASE] - m[TIMEOUT] - LEASE_MARGIN end

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
  local write, more = {}, 0
  for sub, m in pairs(changed) do
    write[#write+1] = sub write[#write+1] = write_record(m)
    more = more + waiting(m) - (waited[m] or 0)
    waited[m] = waiting(m)
  end
  if #write > 0 then redis.call('HSET', records, unpack(write)) end
  if more ~= 0 then redis.call('HINCRBY', records, WAITING, more) end
end
