// SPDX-License-Identifier: MIT
// net/http: a goroutine a connection, over the runtime's epoll.
package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

var served int64

func main() {
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		fmt.Fprint(response, atomic.AddInt64(&served, 1))
	})
	fmt.Println(http.ListenAndServe(":8000", nil))
}
