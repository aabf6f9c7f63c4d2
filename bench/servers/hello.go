// SPDX-License-Identifier: MIT
// Go's net/http. Argument: HOST:PORT.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"sync/atomic"
)

func main() {
	var served int64

	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %d\n", atomic.AddInt64(&served, 1))
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
