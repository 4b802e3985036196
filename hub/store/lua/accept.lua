-- ACCEPT a batch of changes; durable when the reply arrives. Atomic (a FHIR transaction): all of them or none.
-- KEYS for each partition: own, chg, ids, rid; then for each change: head, idem
-- ARGV most changes that may wait, lifetime of an idempotency record in ms, atomic (1/0), number of partitions,
--      then for each change: index of its partition, key (Type/id), op (create | put | unseen | delete | load),
--      expected version ('' = any), idempotency given (1/0), fingerprint of the request, meta hint, correlation,
--      identifier tokens (joined by spaces), condition token ('' = none), what it must find (id, '' = nothing), body
--      op `unseen` is a put whose body claims an earlier version elsewhere: without a head it is an update, previous unknown
-- -> {1 when written (atomic: 0 when refused as a whole), {code, id, version, previous id, interaction} ...}
--      code ok | repeat | same (a load of what is there already) | reused (key seen with another request)
--           | conflict (version = the present one) | absent | gone (already deleted) | exists (create of an id in use)
--           | moved (the condition finds something else by now) | busy
--           | ready (atomic: it would have been taken, but another stood in the way, or the whole is a repeat)
--      interaction c | u | d | l; previous id '-' = none
-- ids: token -> ids of living resources that carry the identifier; rid: Type/id -> its tokens. Both are exact.
local WIDTH = 12
local most, ttl, atomic, partitions = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])

local state = {}
for p = 1, partitions do
  local own = KEYS[4*p - 3]
  local last, taken, left = unpack(redis.call('HMGET', own, 'last', 'in', 'out'))
  taken = tonumber(taken) or 0
  state[p] = {own = own, chg = KEYS[4*p - 2], ids = KEYS[4*p - 1], rid = KEYS[4*p], last = last, taken = taken,
              lag = taken - (tonumber(left) or 0), events = 0, fresh = 0}
end

local function change(i, x)
  return {at = state[tonumber(ARGV[i])], key = ARGV[i+1], op = ARGV[i+2], expected = ARGV[i+3], given = ARGV[i+4] == '1',
          fingerprint = ARGV[i+5], hint = ARGV[i+6], correlation = ARGV[i+7], tokens = ARGV[i+8], condition = ARGV[i+9],
          finds = ARGV[i+10], body = ARGV[i+11], head = KEYS[x], idem = KEYS[x+1]}
end

-- What is to become of a change: an answer that ends it, or {'ok', interaction, version, previous}.
local function plan(c)
  if c.given then
    local seen = redis.call('GET', c.idem)
    if seen then
      local id, version, previous, interaction, print = string.match(seen, '(%S+) (%S+) (%S+) (%S+) (%S+)')
      if print ~= c.fingerprint then return {'reused'} end
      return {'repeat', id, tonumber(version), previous, interaction}
    end
  end
  if c.at.lag + c.at.events >= most then return {'busy'} end
  if c.condition ~= '' and (redis.call('HGET', c.at.ids, c.condition) or '') ~= c.finds then return {'moved'} end
  local head = redis.call('GET', c.head)
  local version, previous, was = 0, '-', 'd'
  if head then version, previous, was = string.match(head, '(%S+) (%S+) (%S+)') version = tonumber(version) end
  local alive = head and was ~= 'd'
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
    if alive then
      local entry = redis.call('XRANGE', c.at.chg, previous, previous)[1]
      local fields = entry and entry[2] or {}
      for f = 1, #fields, 2 do
        if fields[f] == 'b' and fields[f+1] == c.body then return {'same', previous, version, previous, was} end
      end
    end
    interaction = 'l'
  elseif alive or (c.op == 'unseen' and not head) then interaction = 'u'
  else interaction = 'c' end
  return {'ok', interaction, version + 1, previous}
end

local function index(c, interaction)
  local tokens = interaction == 'd' and '' or c.tokens
  local old = redis.call('HGET', c.at.rid, c.key) or ''
  if old == tokens then return end
  local id = string.match(c.key, '/(.+)$')
  for token in string.gmatch(old, '%S+') do
    local rest = {}
    for other in string.gmatch(redis.call('HGET', c.at.ids, token) or '', '%S+') do
      if other ~= id then rest[#rest+1] = other end
    end
    if #rest > 0 then redis.call('HSET', c.at.ids, token, table.concat(rest, ' ')) else redis.call('HDEL', c.at.ids, token) end
  end
  for token in string.gmatch(tokens, '%S+') do
    local there = redis.call('HGET', c.at.ids, token)
    redis.call('HSET', c.at.ids, token, there and there .. ' ' .. id or id)
  end
  if tokens ~= '' then redis.call('HSET', c.at.rid, c.key, tokens) else redis.call('HDEL', c.at.rid, c.key) end
end

local function carry_out(c, planned)
  local interaction, version, previous = planned[2], planned[3], planned[4]
  local id = redis.call('XADD', c.at.chg, '*', 'k', c.key, 'v', version, 'o', interaction, 'p', previous,
    'h', c.hint, 'x', c.correlation, 'b', c.body)
  redis.call('SET', c.head, version .. ' ' .. id .. ' ' .. interaction)
  if c.given then
    redis.call('SET', c.idem, table.concat({id, version, previous, interaction, c.fingerprint}, ' '), 'PX', ttl)
  end
  index(c, interaction)
  c.at.last, c.at.fresh = id, c.at.fresh + 1
  if interaction ~= 'l' then c.at.events = c.at.events + 1 end -- loaded resources are not matched: they count as no lag
  return {'ok', id, version, previous, interaction}
end

local changes, x = {}, 4 * partitions + 1
for i = 5, #ARGV, WIDTH do
  changes[#changes+1] = change(i, x)
  x = x + 2
end
local result = {1}
if atomic then
  local repeated = false
  for n, c in ipairs(changes) do
    local one = plan(c)
    local code = one[1]
    if code == 'repeat' then repeated = true
    elseif code ~= 'ok' and code ~= 'gone' and code ~= 'same' then result[1] = 0 end
    result[n+1] = code == 'ok' and {'ready'} or one
  end
  if result[1] == 0 or repeated then return result end -- refused as a whole, or done before as a whole
end
for n, c in ipairs(changes) do
  local one = plan(c)
  result[n+1] = one[1] == 'ok' and carry_out(c, one) or one
end
for p = 1, partitions do
  local at = state[p]
  if at.fresh > 0 then redis.call('HSET', at.own, 'last', at.last, 'in', at.taken + at.events) end
end
return result
