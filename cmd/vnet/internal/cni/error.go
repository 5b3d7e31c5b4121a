//go:build linux

// Package cni reads what container engines send to a network plugin, and writes what they expect: the Container Network
// Interface, version 1.1.0 and back to 0.3.1. It changes nothing and opens nothing.
//
//	environment ─▶ Env ──┐
//	standard input ─▶ Config ─▶ member.Network, member.Member … member.Attached ─▶ Result ─▶ standard output
//
// The names of its keys are those of the reference plugins bridge, portmap, host-local and static. An unknown key is no
// error, because engines add keys of their own.
package cni

import (
	"fmt"
	"strings"
)

// The error codes of the specification that vnet uses, and two of the reference library: own namespace, internal.
const (
	CodeVersion     = 1
	CodeUnsupported = 2
	CodeEnvironment = 4
	CodeIO          = 5
	CodeDecode      = 6
	CodeConfig      = 7
	CodeOwnNS       = 8
	CodeTryLater    = 11
	CodeUnavailable = 50
	CodeTaken       = 100 // of vnet: another container has the address or the port
	CodeInternal    = 999
)

// An Error is the answer of a plugin that failed. Engines read it on standard output.
type Error struct {
	Version string `json:"cniVersion"` // of the configuration
	Code    int    `json:"code"`
	Msg     string `json:"msg"`
	Details string `json:"details,omitempty"`
}

// Error returns the message and the details.
func (e *Error) Error() string {
	if e.Details == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Details
}

func fail(code int, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// Internal is the error of an operation that is neither the configuration's fault nor the environment's.
func Internal(err error) *Error { return fail(CodeInternal, "%v", err) }

// versions are the supported versions of the specification, the oldest first.
var versions = []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// Newest is the newest supported version.
const Newest = "1.1.0"

// A VersionResult is the answer to VERSION.
type VersionResult struct {
	Version   string   `json:"cniVersion"`
	Supported []string `json:"supportedVersions"`
}

// Versions is the answer to VERSION.
func Versions() VersionResult { return VersionResult{Newest, versions} }

// About is what a plugin prints for a person who calls it without CNI_COMMAND.
func About(name, version string) string {
	return fmt.Sprintf("CNI %s plugin %s\nCNI protocol versions supported: %s\n", name, version,
		strings.Join(versions, ", "))
}
