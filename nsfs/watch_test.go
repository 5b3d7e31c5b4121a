package nsfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

func TestWatch(t *testing.T) {
	fresh(t)
	w, err := nsfs.Watch()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"red", "blue"} {
		if err := nsfs.Add(name); err != nil {
			t.Fatal(err)
		}
		if err := nsfs.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []nsfs.Event{
		{Name: "red"}, {Name: "red", Removed: true}, {Name: "blue"}, {Name: "blue", Removed: true},
	} {
		if got, err := w.Next(); got != want || err != nil {
			t.Fatalf("event %+v, %v; want %+v", got, err, want)
		}
	}
	done := make(chan error)
	go func() {
		_, err := w.Next()
		done <- err
	}()
	w.Close()
	if err := <-done; err == nil {
		t.Error("got an event after Close")
	}
}

// TestWatchLoses: a watcher that does not read reports lost events, and then the next ones.
func TestWatchLoses(t *testing.T) {
	fresh(t)
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(limit)))
	if err != nil || most > 1<<20 {
		t.Skipf("a queue of %s events is too long to fill", limit)
	}
	w, err := nsfs.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	touch := func(name string) {
		t.Helper()
		path := filepath.Join(nsfs.Dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
	for range most/2 + 1 {
		touch("red")
	}
	defer time.AfterFunc(time.Minute, func() { w.Close() }).Stop() // so that it does not wait forever
	var e nsfs.Event
	for range most + 2 {
		if e, err = w.Next(); err != nil || e.Lost {
			break
		}
	}
	if want := (nsfs.Event{Lost: true}); e != want || err != nil {
		t.Fatalf("event %+v, %v; want %+v", e, err, want)
	}
	touch("blue")
	if e, err := w.Next(); e.Name != "blue" || err != nil {
		t.Errorf("event %+v, %v after lost events", e, err)
	}
}
