# SPDX-License-Identifier: MIT
# A blocking accept, and an answer that ends with its connection.
require 'socket'

served = 0
server = TCPServer.new('127.0.0.1', 8000)
loop do
  client = server.accept
  line = client.gets until line == "\r\n"
  line = nil
  served += 1
  client.write "HTTP/1.0 200 OK\r\n\r\n#{served}"
  client.close
end
