-- SPDX-License-Identifier: MIT
local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do words[#words + 1] = word end
table.sort(words)
print(table.concat(words, " "))
local function sieve(n)
  local is, count = {}, 0
  for i = 2, n do is[i] = true end
  for i = 2, n do
    if is[i] then
      count = count + 1
      for j = i * i, n, i do is[j] = false end
    end
  end
  return count
end
print(sieve(200000))
print(select(2, pcall(error, { code = 7 })).code)
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(co(), co(), co())
print(string.format("%.6f %q", math.sin(1), "a\nb"))
if jit then
  local x = 0
  for i = 1, 5e6 do x = (x * 16807 + i) % 2147483647 end
  print("compiled", x, (jit.status()))
end
