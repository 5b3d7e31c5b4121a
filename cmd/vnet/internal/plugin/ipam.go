//go:build linux

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/cni"
)

// delegate calls the plugin that chooses the addresses, with this call's environment and standard input, and returns
// what it prints.
func (k *task) delegate(ctx context.Context, command string) ([]byte, error) {
	// This plugin would call itself, and so on without end.
	if slices.Contains([]string{k.Type, k.name, "vnet", "vnet-cni", "bridge"}, k.Delegate()) {
		return nil, &cni.Error{Code: cni.CodeConfig, Msg: fmt.Sprintf("ipam.type: the plugin %q does not choose addresses",
			k.Delegate())}
	}
	path, err := find(k.Delegate(), k.Path)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(k.stdin), &out, k.err
	if err := cmd.Run(); err != nil {
		answer := &cni.Error{}
		if json.Unmarshal(out.Bytes(), answer) == nil && answer.Code != 0 {
			answer.Msg = fmt.Sprintf("%s %s: %s", k.Delegate(), command, answer.Msg)
			return nil, answer
		}
		return nil, &cni.Error{Code: cni.CodeInternal, Msg: fmt.Sprintf("%s %s: %v", k.Delegate(), command, err),
			Details: strings.TrimSpace(out.String())}
	}
	return out.Bytes(), nil
}

// find returns the program of a plugin.
func find(name string, folders []string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return "", &cni.Error{Code: cni.CodeConfig, Msg: fmt.Sprintf("ipam.type: %q is not a name of a plugin", name)}
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", &cni.Error{Code: cni.CodeConfig, Msg: fmt.Sprintf("ipam.type: no plugin %q in CNI_PATH", name),
		Details: strings.Join(folders, string(filepath.ListSeparator))}
}
