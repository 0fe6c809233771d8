package tree_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree/treetest"
)

// TestEqualSees shows that the comparison of the other tests finds what may be wrong.
func TestEqualSees(t *testing.T) {
	at := newFS(t, "xfs", 512<<20)
	src := everything(t, at)
	keepTimes := func(path string, change func(string) error) error {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if err := change(path); err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	}
	for name, change := range map[string]func(p func(string) string) error{
		"contents": func(p func(string) string) error {
			return keepTimes(p("pages"), func(path string) error {
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				must(t, err)
				defer f.Close()
				_, err = f.WriteAt([]byte("x"), 200_000)
				return err
			})
		},
		"holes": func(p func(string) string) error {
			return keepTimes(p("hole"), func(path string) error { return os.WriteFile(path, make([]byte, 1<<20+1), 0) })
		},
		"size": func(p func(string) string) error {
			return keepTimes(p("ends with a hole"), func(path string) error { return os.Truncate(path, 5<<20) })
		},
		"mode":  func(p func(string) string) error { return unix.Chmod(p("pages"), 0o755) },
		"owner": func(p func(string) string) error { return os.Lchown(p("symlink"), 0, 12) },
		"mtime": func(p func(string) string) error {
			return os.Chtimes(p("dir/sub"), unixTime(old[0]), unixTime(old[1]).Add(1))
		},
		"atime": func(p func(string) string) error {
			return os.Chtimes(p("dir/sub"), unixTime(old[0]).Add(1), unixTime(old[1]))
		},
		"xattr":  func(p func(string) string) error { return unix.Setxattr(p("small"), "user.note", []byte("b"), 0) },
		"xattr+": func(p func(string) string) error { return unix.Setxattr(p("small"), "user.more", nil, 0) },
		"xattr-": func(p func(string) string) error { return unix.Lremovexattr(p("symlink"), "trusted.of.symlink") },
		"acl":    func(p func(string) string) error { return unix.Removexattr(p("dir"), "system.posix_acl_default") },
		"flags": func(p func(string) string) error {
			setFlags(t, p("small"), flagNoDump)
			return nil
		},
		"device": func(p func(string) string) error { return replace(p("char"), unix.S_IFCHR|0o620, 5) },
		"kind":   func(p func(string) string) error { return replace(p("fifo"), unix.S_IFSOCK|0o640, 0) },
		"target": func(p func(string) string) error {
			return keepTimes(p(""), func(string) error {
				return keepTimes(p("out"), func(path string) error {
					if err := os.Remove(path); err != nil {
						return err
					}
					return os.Symlink("/etc/passwx", path)
				})
			})
		},
		"missing": func(p func(string) string) error {
			return keepTimes(p("dir"), func(string) error { return os.Remove(p("dir/empty")) })
		},
		"more": func(p func(string) string) error {
			return keepTimes(p("dir"), func(string) error { return os.Mkdir(p("dir/x"), 0o755) })
		},
		"unlinked": func(p func(string) string) error { // by a copy in the link's place
			return keepTimes(p(""), func(string) error {
				return keepTimes(p("link"), func(path string) error {
					if err := os.Remove(path); err != nil {
						return err
					}
					return os.WriteFile(path, []byte("small"), 0o600)
				})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dst, _ := checkCopy(t, src, at, tree.Options{})
			must(t, change(func(name string) string { return filepath.Join(dst, name) }))
			a, b := open(t, src), open(t, dst)
			err := treetest.Equal(a, b, tree.Options{})
			if err == nil {
				t.Error("the change was not seen")
			} else if lines := bytes.Count([]byte(err.Error()), []byte("\n")) + 1; lines > 12 {
				t.Errorf("one change was seen as %d", lines)
			}
		})
	}
}

// replace puts a special file in another's place.
func replace(path string, mode uint32, dev int) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return unix.Mknod(path, mode, dev)
}

func unixTime(t unix.Timespec) time.Time { return time.Unix(t.Sec, t.Nsec) }
