// Package work is what both servers in Go do for a request, whatever brought it.
package work

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
)

// Hello is the small response.
const Hello = "Hello, World!"

type rating struct {
	Score int `json:"score"`
	Count int `json:"count"`
}

type item struct {
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Category string   `json:"category"`
	Price    int      `json:"price"`
	Quantity int      `json:"quantity"`
	Active   bool     `json:"active"`
	Tags     []string `json:"tags"`
	Rating   rating   `json:"rating"`
}

type line struct {
	item
	Total int `json:"total"`
}

type list struct {
	Items []line `json:"items"`
	Count int    `json:"count"`
}

type user struct {
	ID   string `json:"id"`
	Page string `json:"page"`
	Sort string `json:"sort"`
}

var items []item

// Load reads the data set that GYRFALCON_BENCH_DATA names.
func Load() {
	data, err := os.ReadFile(os.Getenv("GYRFALCON_BENCH_DATA"))
	if err == nil {
		err = json.Unmarshal(data, &items)
	}
	Check(err)
}

// List computes the total of every item and writes all of them as JSON.
func List() []byte {
	lines := make([]line, len(items))
	for i, one := range items {
		lines[i] = line{one, one.Price * one.Quantity}
	}
	return marshal(list{lines, len(lines)})
}

// User writes what the path and the query say as JSON.
func User(id, page, sort string) []byte {
	return marshal(user{id, page, sort})
}

func marshal(value any) []byte {
	text, err := json.Marshal(value)
	Check(err)
	return text
}

// Folder is the folder of files.
func Folder() string {
	return os.Getenv("GYRFALCON_BENCH_WWW")
}

// Listen opens 127.0.0.1 at the port of the first argument.
func Listen() net.Listener {
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	Check(err)
	return listener
}

// Check ends the program on an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
