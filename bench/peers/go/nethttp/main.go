// Go's net/http with its own router: nethttp PORT
package main

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"races/peers/work"
)

func main() {
	work.Load()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "text/plain", []byte(work.Hello))
	})
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "application/json", work.List())
	})
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		send(w, "application/json", work.User(r.PathValue("id"), query.Get("page"), query.Get("sort")))
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		send(w, "text/plain", body)
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		bytes, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		send(w, "text/plain", strconv.AppendInt(nil, bytes, 10))
	})
	mux.HandleFunc("GET /events", listen)
	mux.HandleFunc("POST /publish", publish)
	mux.Handle("GET /", http.FileServer(http.Dir(work.Folder())))
	work.Check(http.Serve(work.Listen(), mux))
}

func send(w http.ResponseWriter, kind string, body []byte) {
	head := w.Header()
	head.Set("Content-Type", kind)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	// A client that has gone is nobody to tell.
	_, _ = w.Write(body)
}

var (
	mutex     sync.Mutex
	listeners = map[chan []byte]struct{}{}
)

func listen(w http.ResponseWriter, r *http.Request) {
	events := make(chan []byte, 16)
	mutex.Lock()
	listeners[events] = struct{}{}
	mutex.Unlock()
	defer func() {
		mutex.Lock()
		delete(listeners, events)
		mutex.Unlock()
	}()
	flusher := w.(http.Flusher)
	w.Header().Set("Content-Type", "text/event-stream")
	event := []byte(":\n\n")
	for {
		if _, err := w.Write(event); err != nil {
			return
		}
		flusher.Flush()
		select {
		case event = <-events:
		case <-r.Context().Done():
			return
		}
	}
}

func publish(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	event := append(append([]byte("data: "), body...), '\n', '\n')
	mutex.Lock()
	for events := range listeners {
		events <- event
	}
	mutex.Unlock()
	send(w, "text/plain", []byte("~"))
}
