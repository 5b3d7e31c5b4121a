// Package hostfile reads and writes the files of a lab for its hosts' /etc.
//
// Each host has a directory for them, where ip-netns(8) finds them. The first line of a file is the mark of its lab,
// because the directory may also have files of other programs. vnet neither reads nor replaces those, and follows no
// symbolic links.
package hostfile
