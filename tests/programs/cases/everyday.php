<?php
// SPDX-License-Identifier: MIT
echo json_encode(['a' => [1, 2.5, null], 'b' => 'x']), "\n";
echo hash('sha256', 'mayfly'), "\n";
function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); }
echo fib(22), "\n";
echo preg_replace_callback('/\b(\w)(\w*)\b/', fn($m) => strtoupper($m[1]) . $m[2], 'the quick brown fox'), "\n";
$list = range(1, 50);
usort($list, fn($a, $b) => ($a * 37 % 53) <=> ($b * 37 % 53));
echo implode(',', $list), "\n";
function numbers() { for ($i = 0; $i < 4; $i++) yield $i => $i * $i; }
foreach (numbers() as $k => $v) echo "$k=$v ";
echo "\n", strlen(str_repeat('x', 5000000)), "\n";
try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo get_class($e), "\n"; }
