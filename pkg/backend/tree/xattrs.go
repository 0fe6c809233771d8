package tree

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The kernel's limits (linux/limits.h) for one value and for all names.
const (
	maxXattrValue = 64 << 10
	maxXattrNames = 64 << 10
	// usualXattr is room for what is there as a rule.
	usualXattr = 4 << 10
)

const defaultACL = "system.posix_acl_default"

// isRawACL tells whether an attribute is what XFS keeps a POSIX ACL in. It lists
// both; elsewhere this one means nothing.
func isRawACL(name string) bool {
	return name == "trusted.SGI_ACL_FILE" || name == "trusted.SGI_ACL_DEFAULT"
}

type xattr struct {
	name  string
	value []byte
}

// inode is what has extended attributes: an open file or, if there is a path, what
// that leads to (see procPath).
type inode struct {
	fd   int
	path string
}

func (n inode) list(buf []byte) (int, error) {
	if n.path != "" {
		return unix.Listxattr(n.path, buf)
	}
	return unix.Flistxattr(n.fd, buf)
}

func (n inode) get(name string, buf []byte) (int, error) {
	if n.path != "" {
		return unix.Getxattr(n.path, name, buf)
	}
	return unix.Fgetxattr(n.fd, name, buf)
}

func (n inode) set(name string, value []byte) error {
	if n.path != "" {
		return unix.Setxattr(n.path, name, value, 0)
	}
	return unix.Fsetxattr(n.fd, name, value, 0)
}

// grow calls read with *b, and with more room if that was too little.
func grow(b *[]byte, most int, read func([]byte) (int, error)) ([]byte, error) {
	buf := buffer(b, usualXattr)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = read(buf)
			return err
		})
		if err == unix.ERANGE && len(buf) < most {
			buf = buffer(b, most)
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

// xattrNames calls f with the names of all extended attributes, but for the second
// names that some have.
func (w *worker) xattrNames(n inode, f func(name string) error) error {
	names, err := grow(&w.names, maxXattrNames, n.list)
	if err == unix.EOPNOTSUPP {
		return nil
	}
	for err == nil && len(names) > 0 {
		name, rest, _ := bytes.Cut(names, []byte{0})
		names = rest
		if !isRawACL(string(name)) {
			err = f(string(name))
		}
	}
	return err
}

// copyXattrs copies all extended attributes. Those of a directory d that its
// entries would inherit are kept in d.late instead.
func (w *worker) copyXattrs(from, to inode, d *dir) error {
	return w.xattrNames(from, func(name string) error {
		if d != nil && d.parent == nil && slices.Contains(w.o.SkipXattrs, name) {
			return nil
		}
		value, err := grow(&w.value, maxXattrValue, func(b []byte) (int, error) { return from.get(name, b) })
		if err == unix.ENODATA { // removed meanwhile
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", state.Quote(name), err)
		}
		if d != nil && inherited(name) {
			d.late = append(d.late, xattr{name, bytes.Clone(value)})
			return nil
		}
		return setXattr(to, name, value)
	})
}

func inherited(name string) bool { return name == defaultACL || strings.HasPrefix(name, "btrfs.") }

func setXattr(to inode, name string, value []byte) error {
	err := retry(func() error { return to.set(name, value) })
	if err == nil || dispensable(name, err) {
		return nil
	}
	return fmt.Errorf("%s: %w", state.Quote(name), err)
}

// dispensable tells whether an attribute may be left out that the destination
// refuses: labels that the machine's policy gives, and properties that are those of
// a kind of filesystem.
func dispensable(name string, err error) bool {
	if err != unix.EOPNOTSUPP && err != unix.EINVAL && err != unix.EPERM && err != unix.EACCES {
		return false
	}
	for _, ours := range []string{"user.", "trusted.", "system.posix_acl_"} {
		if strings.HasPrefix(name, ours) {
			return false
		}
	}
	if strings.HasPrefix(name, "security.") {
		return isLabel(name)
	}
	return true
}

// isLabel tells whether a security attribute is given by the machine's policy.
func isLabel(name string) bool {
	return slices.Contains([]string{"security.selinux", "security.ima", "security.evm", "security.apparmor"}, name) ||
		strings.HasPrefix(name, "security.SMACK64")
}

// removeXattrs removes what the root of the copy should not have, or not yet.
func (w *worker) removeXattrs(n inode) error {
	return w.xattrNames(n, func(name string) error {
		if isLabel(name) || slices.Contains(w.o.SkipXattrs, name) {
			return nil
		}
		err := retry(func() error { return unix.Fremovexattr(n.fd, name) })
		if err == nil || err == unix.ENODATA || dispensable(name, err) {
			return nil
		}
		return fmt.Errorf("%s: %w", state.Quote(name), err)
	})
}

// xattrsByName copies extended attributes of what cannot be opened.
func (w *worker) xattrsByName(e *entry) error {
	from := inode{path: procPath(e.place)}
	names, err := grow(&w.names, maxXattrNames, from.list)
	if err == unix.EOPNOTSUPP || err == nil && len(names) == 0 {
		return nil
	}
	if err != nil {
		return w.failed(e.dir, e.name, "xattr", err)
	}
	made, err := openPlace(e.dst, e.name)
	if err != nil {
		return w.failed(e.dir, e.name, "open the copy", err)
	}
	defer unix.Close(made)
	if err := w.copyXattrs(from, inode{path: procPath(made)}, nil); err != nil {
		return w.failed(e.dir, e.name, "xattr", err)
	}
	return nil
}
