// SPDX-License-Identifier: MIT

// A pipeline of goroutines, each of which lets through what its prime does not divide.
package main

import "fmt"

func numbers(out chan<- int) {
	for n := 2; ; n++ {
		out <- n
	}
}

func filter(in <-chan int, out chan<- int, prime int) {
	for n := range in {
		if n%prime != 0 {
			out <- n
		}
	}
}

func main() {
	in := make(chan int)
	go numbers(in)
	sum := 0
	for i := 0; i < 300; i++ {
		prime := <-in
		sum += prime
		out := make(chan int)
		go filter(in, out, prime)
		in = out
	}
	fmt.Println("the first 300 primes sum up to", sum)
}
