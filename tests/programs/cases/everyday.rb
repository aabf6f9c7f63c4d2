# SPDX-License-Identifier: MIT
require 'digest'
require 'json'
require 'set'
puts JSON.generate({ 'a' => [1, 2.5, nil], 'b' => 'x' })
puts Digest::SHA256.hexdigest('mayfly')
queue = Queue.new
workers = 4.times.map { Thread.new { sum = 0; while (n = queue.pop) != :stop do sum += n end; sum } }
1000.times { |n| queue << n }
4.times { queue << :stop }
puts workers.sum(&:value)
puts (1..20).each_slice(3).map(&:sum).inspect
fiber = Fiber.new { 3.times { |i| Fiber.yield i * i }; :done }
puts 4.times.map { fiber.resume }.inspect
begin
  Integer('x')
rescue ArgumentError => error
  puts error.message
end
puts Set.new([3, 1, 2, 3]).sort.inspect
read, write = IO.pipe
write << 'pipe'
write.close
puts read.read
GC.start
puts ObjectSpace.count_objects[:TOTAL].positive?
