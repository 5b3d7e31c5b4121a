package live

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// kernelCalls are the functions with which an executor changes the kernel.
type kernelCalls struct {
	send          func(*rtnl.Conn, ...rtnl.Request) error
	applyNAT      func(c *nft.Conn, table string, del, add []nft.Rule) error
	updateGuard   func(c *nft.Conn, update func(nft.Guard) nft.Guard) error
	newNetns      func(nsfs.Thread) (*os.File, error)
	removeNetns   func(name string) error
	setSysctl     func(key, value string) error
	setChecksums  func(o *rtnl.Offload, link string, on bool) error
	writeFile     func(path string, text []byte) error
	overwriteFile func(path string, text []byte) error
	removeFile    func(path string) error
	run           func(*netnsHandle, *exec.Cmd) error
	signal        func(pidfd int, sig unix.Signal, info *unix.Siginfo, flags int) error
}

var realCalls = kernelCalls{
	send: (*rtnl.Conn).Do, applyNAT: (*nft.Conn).Apply, updateGuard: (*nft.Conn).UpdateGuard,
	newNetns: nsfs.Thread.New, removeNetns: nsfs.Remove,
	setSysctl: nsfs.SetSysctl, setChecksums: (*rtnl.Offload).SetChecksums,
	writeFile: writeFile, overwriteFile: overwriteFile, removeFile: os.Remove,
	run: (*netnsHandle).run, signal: unix.PidfdSendSignal,
}
