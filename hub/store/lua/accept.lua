-- ACCEPT a batch of changes of one partition; durable when the reply arrives.
-- KEYS own, chg, then for each change: head, idem
-- ARGV most changes that may wait, lifetime of an idempotency record in ms, then for each change:
--      key (Type/id), op (create | put | unseen | delete | load), expected version ('' = any), idempotency given (1/0),
--      fingerprint of the request, meta hint, correlation, body
--      op `unseen` is a put whose body claims an earlier version elsewhere: without a head it is an update, previous unknown
-- -> {id before this batch, {code, id, version, previous id, interaction} ...}
--      code ok | repeat | reused (key seen with another request) | conflict (version = the present one)
--           | absent | gone (already deleted) | exists (create of an id in use) | busy
--      interaction c | u | d | l; previous id '-' = none
local most, ttl = tonumber(ARGV[1]), ARGV[2]
local last, taken, left = unpack(redis.call('HMGET', KEYS[1], 'last', 'in', 'out'))
taken = tonumber(taken) or 0
local lag, fresh, events = taken - (tonumber(left) or 0), 0, 0
local result = {last or '0-0'}

local function accept(x, i)
  local key, op, expected, given, fingerprint = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3] == '1', ARGV[i+4]
  if given then
    local seen = redis.call('GET', KEYS[x+1])
    if seen then
      local id, version, previous, interaction, print = string.match(seen, '(%S+) (%S+) (%S+) (%S+) (%S+)')
      if print ~= fingerprint then return {'reused'} end
      return {'repeat', id, tonumber(version), previous, interaction}
    end
  end
  if lag + events >= most then return {'busy'} end
  local head = redis.call('GET', KEYS[x])
  local version, previous, was = 0, '-', 'd'
  if head then version, previous, was = string.match(head, '(%S+) (%S+) (%S+)') version = tonumber(version) end
  local alive = head and was ~= 'd'
  if expected ~= '' and (not alive or tonumber(expected) ~= version) then return {'conflict', previous, version} end
  local interaction
  if op == 'delete' then
    if not head then return {'absent'} end
    if not alive then return {'gone', previous, version, previous, 'd'} end
    interaction = 'd'
  elseif op == 'create' then
    if alive then return {'exists', previous, version} end
    interaction = 'c'
  elseif op == 'load' then interaction = 'l'
  elseif alive or (op == 'unseen' and not head) then interaction = 'u'
  else interaction = 'c' end
  version = version + 1
  last = redis.call('XADD', KEYS[2], '*', 'k', key, 'v', version, 'o', interaction, 'p', previous,
    'h', ARGV[i+5], 'x', ARGV[i+6], 'b', ARGV[i+7])
  redis.call('SET', KEYS[x], version .. ' ' .. last .. ' ' .. interaction)
  if given then
    redis.call('SET', KEYS[x+1], table.concat({last, version, previous, interaction, fingerprint}, ' '), 'PX', ttl)
  end
  fresh = fresh + 1
  if interaction ~= 'l' then events = events + 1 end
  return {'ok', last, version, previous, interaction}
end

local x = 3
for i = 3, #ARGV, 8 do
  result[#result+1] = accept(x, i)
  x = x + 2
end
-- loaded resources count as no lag (they are not matched)
if fresh > 0 then redis.call('HSET', KEYS[1], 'last', last, 'in', taken + events) end
return result
