// SPDX-License-Identifier: MIT

// Goroutines, channels, timers, an HTTP server with clients, and a collector under load.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sort"
	"sync"
	"time"
)

func work(jobs <-chan int, answers chan<- int) {
	for job := range jobs {
		answers <- job * job
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	})}
	go server.Serve(listener)
	var wait sync.WaitGroup
	var lock sync.Mutex
	var seen []string
	for i := 0; i < 20; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			response, err := http.Get(fmt.Sprintf("http://%s/%d", listener.Addr(), i))
			if err != nil {
				panic(err)
			}
			text, _ := io.ReadAll(response.Body)
			response.Body.Close()
			lock.Lock()
			seen = append(seen, string(text))
			lock.Unlock()
		}(i)
	}
	wait.Wait()
	sort.Strings(seen)
	fmt.Println(seen)
	server.Close()
}

func main() {
	jobs, answers := make(chan int), make(chan int, 1000)
	for i := 0; i < 100; i++ {
		go work(jobs, answers)
	}
	for i := 0; i < 1000; i++ {
		jobs <- i
	}
	close(jobs)
	sum := 0
	for i := 0; i < 1000; i++ {
		sum += <-answers
	}
	fmt.Println("sum", sum)
	select {
	case <-time.After(20 * time.Millisecond):
		fmt.Println("timed out")
	case <-make(chan int):
	}
	var keep [][]byte
	for i := 0; i < 2000; i++ {
		piece := make([]byte, 64<<10)
		piece[i] = byte(i)
		if i%100 == 0 {
			keep = append(keep, piece)
		}
	}
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("kept", len(keep), stats.NumGC > 0)
	spin := true
	go func() {
		for spin {
		}
	}()
	time.Sleep(30 * time.Millisecond)
	spin = false
	serve()
	defer func() { fmt.Println("recovered", recover()) }()
	var nothing *int
	fmt.Println(*nothing)
}
