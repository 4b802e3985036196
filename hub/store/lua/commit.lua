-- COMMIT a batch of matches of one (partition, shard), in order, and hold the idle Subscriptions among them.
-- KEYS hw, due, m, then the event log of each distinct Subscription
-- ARGV partition, epoch, who holds idle ones ('' = nobody), wait ms for a batch to fill, number of Subscriptions, their names;
--      then for each match, sorted by (change id, Subscription in byte order):
--      index of the Subscription, ms, sequence, definition version, reference
-- -> {code, decided, numbers[], held[]}   code OK | FENCED (older epoch, nothing done)
--      | STALE (stopped before match decided+1: its definition changed; evaluate again from there)
--    number 0 = repeat, -1 = off, ended or gone; held = what each holder is told (record.lua)
-- The high-water mark makes a repeat harmless: a call is a sorted prefix, so one mark per partition is enough.
local partition, epoch, owner, wait, count = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local marks = redis.call('HMGET', KEYS[1], partition, 'epoch:' .. partition)
if marks[2] and tonumber(marks[2]) > epoch then return {'FENCED', 0, {}, {}} end
local high_ms, high_seq, high_sub = -1, -1, ''
if marks[1] then
  high_ms, high_seq, high_sub = string.match(marks[1], '^(%d+) (%d+) (.+)$')
  high_ms, high_seq = tonumber(high_ms), tonumber(high_seq)
end

local function follows(a, b) -- byte order: Lua's own < follows the locale of the server
  for i = 1, math.max(#a, #b) do
    local x, y = string.byte(a, i) or -1, string.byte(b, i) or -1
    if x ~= y then return x > y end
  end
  return false
end

local names = {}
for x = 1, count do names[x] = ARGV[5 + x] end
local raw = count > 0 and redis.call('HMGET', KEYS[3], unpack(names)) or {}
local records, logs, idle, numbers = {}, {}, {}, {}
local code, past, decided, last = 'OK', false, 0, nil

for i = 6 + count, #ARGV, 5 do
  local x = tonumber(ARGV[i])
  local sub = names[x]
  if not past then
    local ms, seq = tonumber(ARGV[i+1]), tonumber(ARGV[i+2])
    past = ms > high_ms or (ms == high_ms and (seq > high_seq or (seq == high_seq and follows(sub, high_sub))))
  end
  if not past then
    numbers[decided+1] = 0
  else
    if records[x] == nil then records[x] = read_record(raw[x]) or false end
    local m = records[x]
    if not m or not living(m) then numbers[decided+1] = -1
    elseif m[DEFINITION] ~= tonumber(ARGV[i+3]) then code = 'STALE' break
    else
      if not logs[x] then
        logs[x] = {}
        idle[x] = m[LEASE] == 0 and m[FAILURES] == 0 and m[NUMBER] == m[CURSOR] and m[VERIFIED] == 1 and m[HELD] == 0
                  and not deaf(m) and m[PAUSED] == 0
      end
      m[NUMBER] = m[NUMBER] + 1
      numbers[decided+1] = m[NUMBER]
      logs[x][#logs[x]+1] = ARGV[i+4]
    end
  end
  decided = decided + 1
  if past then last = i end -- a call of repeats alone must not set the mark back
end

local changed, held = {}, {}
for x, log in pairs(logs) do
  local m = records[x]
  if idle[x] then
    if wait > 0 and m[NUMBER] - m[CURSOR] < m[MOST] then m[NOT_BEFORE] = now + wait
    elseif owner ~= '' then hold(m, EVENTS, owner) held[#held+1] = told(names[x], m) end
  elseif m[LEASE] == 0 and m[FAILURES] == 0 and m[NUMBER] - m[CURSOR] >= m[MOST] then m[NOT_BEFORE] = 0 end
  redis.call('RPUSH', KEYS[3 + x], unpack(log))
  changed[names[x]] = m
end
put_records(KEYS[3], changed)
put_due(KEYS[2], changed)
redis.call('HSET', KEYS[1], 'epoch:' .. partition, epoch)
if last then
  redis.call('HSET', KEYS[1], partition, ARGV[last+1] .. ' ' .. ARGV[last+2] .. ' ' .. names[tonumber(ARGV[last])])
end
return {code, decided, numbers, held}
