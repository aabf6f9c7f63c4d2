<?php /* SPDX-License-Identifier: MIT */
echo $_SERVER['REQUEST_METHOD'] === 'GET' ? '1' : strlen(file_get_contents('php://input'));
