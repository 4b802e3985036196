-- ACCEPT a batch of changes; durable when the reply arrives. Atomic (a FHIR transaction): all of them or none.
-- KEYS record of the whole; for each partition: own, chg, ids, rid; then for each change: head, idem, kept body;
--      when a change has a notice: registry log, names of the living ValueSets
-- ARGV most changes that may wait, lifetime of an idempotency record in ms, atomic (1/0), number of partitions,
--      whole is recorded (1/0), fingerprint of the whole, most bytes that an event copies,
--      then for each change: place (a name for it), index of its partition, key (Type/id),
--      op (create | put | unseen | delete | load | event), expected version ('' = any), idempotency given (1/0), fingerprint,
--      meta hint, trail, identifier tokens (joined by spaces), condition token ('' = none),
--      what it must find (ids joined by spaces), as of, principal, occasion ('' = none), body,
--      notice ('' = none): the name by which every process is told in the registry log that this ValueSet changed
--      op `event`: something happened elsewhere; the head stays, its body is copied when none is given and it is not large
--      op `unseen` is a put whose body claims an earlier version elsewhere: without a head it is an update, previous unknown
--      as of (load only) is the ms at which the state was true: what a change said later stays; '' = the state stands anyway
-- -> {1 written | 0 refused as a whole, nothing is written, {code, id, version, previous id, interaction, key} ...}
--    {2, record}: the whole was done before; JSON [fingerprint, [[place, code, id, version, previous id, interaction, key] ...]]
--      code ok | repeat | same (a load of what is known already) | gone (already deleted) | found (a conditional create: key)
--           | reused (key seen with another request) | conflict (version = the present one) | absent | exists (create of an
--             id in use) | moved (the condition finds something else by now) | busy
--           | large (version = the bytes of the held body, which are too many to be copied into an event)
--      interaction c | u | d | l | e, f for a repeated `found`; previous id '-' = none
-- ids: `token id` of each living resource that carries an identifier; rid: Type/id -> its tokens. Both are exact.
-- A condition is looked up in all partitions of the call: the caller names every one in which it could find something.
local FIXED, WIDTH = 7, 17
local most, ttl, atomic, partitions = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local recorded, whole, most_copied = ARGV[5] == '1', ARGV[6], tonumber(ARGV[7])
if recorded then
  local done = redis.call('GET', KEYS[1])
  if done then return {2, done} end
end

local state = {}
for p = 1, partitions do
  local k = 4*p - 2
  local last, taken, left = unpack(redis.call('HMGET', KEYS[k], 'last', 'in', 'out'))
  taken = tonumber(taken) or 0
  state[p] = {own = KEYS[k], chg = KEYS[k+1], ids = KEYS[k+2], rid = KEYS[k+3], last = last, taken = taken,
              lag = taken - (tonumber(left) or 0), events = 0, fresh = 0}
end

local function change(i, x)
  return {place = ARGV[i], at = state[tonumber(ARGV[i+1])], key = ARGV[i+2], op = ARGV[i+3], expected = ARGV[i+4],
          given = ARGV[i+5] == '1', fingerprint = ARGV[i+6], hint = ARGV[i+7], trail = ARGV[i+8],
          tokens = ARGV[i+9], condition = ARGV[i+10], finds = ARGV[i+11], as_of = ARGV[i+12],
          principal = ARGV[i+13], occasion = ARGV[i+14], body = ARGV[i+15], came = ARGV[i+15] ~= '', notice = ARGV[i+16],
          head = KEYS[x], idem = KEYS[x+1], kept = KEYS[x+2]}
end

local function found_by(token)
  local found = {}
  for p = 1, partitions do
    local members = redis.call('ZRANGEBYLEX', state[p].ids, '[' .. token .. ' ', '(' .. token .. '!', 'LIMIT', 0, 2)
    for _, member in ipairs(members) do found[#found+1] = string.sub(member, #token + 2) end
  end
  return table.concat(found, ' ')
end

-- What a repeat of this request is told, nil when there was none.
local function before(c)
  local seen = c.given and redis.call('GET', c.idem)
  if seen then
    local id, version, previous, interaction, print, key = string.match(seen, '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)')
    if print ~= c.fingerprint then return {'reused'} end
    return {'repeat', id, tonumber(version), previous, interaction, key}
  end
end

-- Is a load of what is there already, or of an older state than a change has told meanwhile?
local function known(c, alive, previous, was)
  if was ~= 'l' and c.as_of ~= '' and tonumber(c.as_of) <= tonumber(string.match(previous, '%d+')) then return true end
  if not alive then return false end
  local entry = redis.call('XRANGE', c.at.chg, previous, previous)[1]
  local fields = entry and entry[2]
  if not fields then return redis.call('HGET', c.kept, 'id') == previous and redis.call('HGET', c.kept, 'b') == c.body end
  for f = 1, #fields, 2 do
    if fields[f] == 'b' then return fields[f+1] == c.body end
  end
end

-- The present version as it is held: its hint and its bytes.
local function held(c, id)
  local entry = redis.call('XRANGE', c.at.chg, id, id)[1]
  if not entry then return redis.call('HGET', c.kept, 'h') or '', redis.call('HGET', c.kept, 'b') or '' end
  local field = {}
  for f = 1, #entry[2], 2 do field[entry[2][f]] = entry[2][f+1] end
  return field.h, field.b
end

-- What is to become of a change on a head: an answer that ends it, or {'ok', interaction, version, previous}.
local function outcome(c, head)
  local version, previous, was = 0, '-', 'd'
  if head then version, previous, was = string.match(head, '(%S+) (%S+) (%S+)') version = tonumber(version) end
  local alive = head and was ~= 'd'
  if c.op == 'event' then
    if alive and c.body == '' then c.hint, c.body = held(c, previous) end
    if #c.body > most_copied and not c.came then return {'large', previous, #c.body} end
    return {'ok', 'e', version, alive and previous or '-'}
  end
  if c.op == 'create' and c.finds ~= '' then return {'found'} end
  if c.expected ~= '' and (not alive or tonumber(c.expected) ~= version) then return {'conflict', previous, version} end
  local interaction
  if c.op == 'delete' then
    if not head then return {'absent'} end
    if not alive then return {'gone', previous, version, previous, 'd'} end
    interaction = 'd'
  elseif c.op == 'create' then
    if alive then return {'exists', previous, version} end
    interaction = 'c'
  elseif c.op == 'load' then
    if head and known(c, alive, previous, was) then return {'same', previous, version, previous, was} end
    interaction = 'l'
  elseif alive or (c.op == 'unseen' and not head) then interaction = 'u'
  else interaction = 'c' end
  return {'ok', interaction, version + 1, previous}
end

-- The first look, which may still refuse. In a transaction `heads` holds what its earlier changes will have made.
local function plan(c, heads)
  local answered = before(c)
  if answered then return answered end
  if c.at.lag + c.at.events >= most then return {'busy'} end
  if c.condition ~= '' and found_by(c.condition) ~= c.finds then return {'moved'} end
  return outcome(c, heads[c.head] or redis.call('GET', c.head))
end

local function index(c, interaction)
  local tokens = interaction == 'd' and '' or c.tokens
  local old = redis.call('HGET', c.at.rid, c.key) or ''
  if old == tokens then return end
  local id = string.match(c.key, '/(.+)$')
  for token in string.gmatch(old, '%S+') do redis.call('ZREM', c.at.ids, token .. ' ' .. id) end
  for token in string.gmatch(tokens, '%S+') do redis.call('ZADD', c.at.ids, 0, token .. ' ' .. id) end
  if tokens ~= '' then redis.call('HSET', c.at.rid, c.key, tokens) else redis.call('HDEL', c.at.rid, c.key) end
end

-- Before this change is answered: whoever reads the registry log after a later change knows of it (I5).
local function tell(c, interaction)
  redis.call('XADD', KEYS[#KEYS-1], 'MAXLEN', '~', 100000, '*', 'value-set', c.notice)
  redis.call(interaction == 'd' and 'SREM' or 'SADD', KEYS[#KEYS], c.notice)
end

local function write(c, planned)
  local interaction, version, previous = planned[2], planned[3], planned[4]
  local id = redis.call('XADD', c.at.chg, '*', 'k', c.key, 'v', version, 'o', interaction, 'p', previous,
    'h', c.hint, 'x', c.trail, 'w', c.principal, 'e', c.occasion, 'b', c.body)
  if interaction ~= 'e' then
    redis.call('SET', c.head, version .. ' ' .. id .. ' ' .. interaction)
    index(c, interaction)
    if c.notice ~= '' then tell(c, interaction) end
  end
  c.at.last, c.at.fresh = id, c.at.fresh + 1
  if interaction ~= 'l' then c.at.events = c.at.events + 1 end -- loaded resources are not matched: they count as no lag
  return {'ok', id, version, previous, interaction, c.key}
end

local DONE = {ok = true, gone = true, same = true, found = true, ['repeat'] = true}

-- What was decided is done and remembered.
local function carry_out(c, planned)
  local done = planned
  if planned[1] == 'ok' then done = write(c, planned) end
  if planned[1] == 'found' then
    done = {'found', '0-0', 0, '-', 'f', string.match(c.key, '^[^/]+/') .. c.finds}
  end
  if c.given and DONE[done[1]] and done[1] ~= 'repeat' then
    local record = {done[2], done[3], done[4], done[5], c.fingerprint, done[6] or c.key}
    redis.call('SET', c.idem, table.concat(record, ' '), 'PX', ttl)
  end
  return done
end

local changes, x = {}, 4 * partitions + 2
for i = FIXED + 1, #ARGV, WIDTH do
  changes[#changes+1] = change(i, x)
  x = x + 3
end
local result, none = {1}, {}
if atomic then
  local heads, plans = {}, {}
  for n, c in ipairs(changes) do
    local one = plan(c, heads)
    if not DONE[one[1]] then result[1] = 0 end
    if one[1] == 'ok' then heads[c.head] = one[3] .. ' 0-0 ' .. one[2] end
    plans[n], result[n+1] = one, DONE[one[1]] and {'same'} or one
  end
  if result[1] == 0 then return result end
  local told = {}
  for n, c in ipairs(changes) do -- nothing may refuse from here on
    local one = plans[n]
    if one[1] == 'ok' then one = outcome(c, redis.call('GET', c.head)) end -- the previous id may be one made just now
    local done = carry_out(c, one)
    result[n+1] = done
    told[n] = {c.place, done[1], done[2], done[3], done[4], done[5], done[6] or c.key}
  end
  if recorded then redis.call('SET', KEYS[1], cjson.encode({whole, told}), 'PX', ttl) end
else
  for n, c in ipairs(changes) do result[n+1] = carry_out(c, plan(c, none)) end
end
for p = 1, partitions do
  local at = state[p]
  if at.fresh > 0 then redis.call('HSET', at.own, 'last', at.last, 'in', at.taken + at.events) end
end
return result
