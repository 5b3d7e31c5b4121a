// Package hostfile reads and writes the files of a lab for its hosts' /etc.
//
// They are in a directory of each host, where ip-netns(8) finds them. The first line of a file is the mark of its
// lab: others may have files there, too. vnet neither reads nor replaces them, and follows no symbolic links.
package hostfile
