-- SPDX-License-Identifier: MIT
-- Conway's Game of Life on a small torus, told by coroutines; prints the last generation.
local W, H, TURNS = 32, 12, 200

local function generations(cells)
  return coroutine.wrap(function()
    for _ = 1, TURNS do
      local next_cells = {}
      for y = 0, H - 1 do
        for x = 0, W - 1 do
          local n = 0
          for dy = -1, 1 do
            for dx = -1, 1 do
              if (dx ~= 0 or dy ~= 0) and cells[(y + dy) % H * W + (x + dx) % W] then n = n + 1 end
            end
          end
          if n == 3 or (n == 2 and cells[y * W + x]) then next_cells[y * W + x] = true end
        end
      end
      cells = next_cells
      coroutine.yield(cells)
    end
  end)
end

local cells, last = {}, nil
for _, at in ipairs { 1, W + 2, 2 * W, 2 * W + 1, 2 * W + 2, 5 * W + 9, 5 * W + 10, 5 * W + 11 } do cells[at] = true end
for generation in generations(cells) do last = generation end
for y = 0, H - 1 do
  local row = {}
  for x = 0, W - 1 do row[#row + 1] = last[y * W + x] and "#" or "." end
  print(table.concat(row))
end
