// Calls of several goroutines, and then the end, as a command-line tool or a cron job does it. Go's
// pool dials a connection for each call that finds none idle, and leaves those that come too late
// unused. `pool BASE_URL`; prints `fine` for each call that goes well.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func call(url string) string {
	body := strings.NewReader(`{"model":"m","messages":[]}`)
	reply, err := http.Post(url+"/chat/completions", "application/json", body)
	if err != nil {
		return err.Error()
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && strings.Contains(string(text), "fine") {
		return "fine"
	}
	return reply.Status
}

func main() {
	var calls sync.WaitGroup
	for range 8 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for range 3 {
				fmt.Println(call(os.Args[1]))
			}
		}()
		time.Sleep(3 * time.Millisecond)
	}
	calls.Wait()
}
