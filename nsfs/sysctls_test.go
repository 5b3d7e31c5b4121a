package nsfs_test

import (
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestThreadSetSysctls: each of many namespaces gets its own values, also after the thread changed
// to another proc file system.
func TestThreadSetSysctls(t *testing.T) {
	fresh(t)
	const dir, many = "net/ipv4/conf", 150
	read := func() (values string) {
		for _, key := range []string{"/all/rp_filter", "/default/rp_filter"} {
			value, err := nsfs.Sysctl(dir + key)
			if err != nil {
				t.Fatal(err)
			}
			values += value
		}
		return values
	}
	before := read()
	err := nsfs.WithThread(func(thread nsfs.Thread) error {
		for n := range many {
			ns, err := thread.New()
			if err != nil {
				return err
			}
			defer ns.Close()
			if n%2 == 0 {
				err = thread.SetSysctls(dir, "all/rp_filter=2", "no_such_setting=1", "default/rp_filter=1")
			} else {
				err = thread.SetSysctls(dir, "all/rp_filter=1")
			}
			if err != nil {
				return err
			}
			if got, want := read(), []string{"21", "1" + before[1:]}[n%2]; got != want {
				t.Errorf("namespace %d has %s, want %s", n, got, want)
			}
		}
		if err := thread.SetSysctls("kernel", "hostname=x"); err == nil {
			t.Error("a setting outside of net was written")
		}
		if err := thread.SetSysctls(dir, "all/rp_filter=many"); err == nil {
			t.Error("the kernel took a word for a number")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := read(); after != before {
		t.Errorf("outside, the values went from %s to %s", before, after)
	}
}
