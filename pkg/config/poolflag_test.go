package config

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAPoolOfAFlag(t *testing.T) {
	p, err := ParsePoolFlag("default=/srv/pool")
	if err != nil || p.Name != "default" || p.Path != "/srv/pool" || p.Image != nil || p.Device != nil || p.Enforcement != state.EnforcementPreferred || p.Overcommit != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = ParsePoolFlag("fast=/srv/fast,image=/srv/fast.img,size=10Gi,filesystem=btrfs,provisioning=thin,enforcement=required,projectIDs=5-9,reserve=5%,cordoned=true")
	if err != nil || *p.Image != (Image{"/srv/fast.img", 10 << 30, "btrfs", state.Thin}) || p.Enforcement != state.EnforcementRequired ||
		p.ProjectIDs != (IDRange{5, 9}) || p.Reserve.Percent != 5 || !p.Cordoned {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = ParsePoolFlag("big=/srv/big,filesystem=btrfs,device=/dev/disk/by-id/x")
	if err != nil || *p.Device != (Device{"/dev/disk/by-id/x", "btrfs"}) || p.Image != nil {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = ParsePoolFlag("i=/srv/i,size=320Mi,image=/srv/i.img") // in any order
	if err != nil || *p.Image != (Image{"/srv/i.img", 320 << 20, "xfs", state.Thick}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAWrongFlagIsTold(t *testing.T) {
	for given, want := range map[string]string{
		"":                                      "it takes NAME=PATH",
		"default":                               "it takes NAME=PATH",
		"Default=/srv":                          `name: got "Default"; it takes lower-case letters`,
		"d=srv":                                 `path: got "srv"; it takes an absolute path`,
		"d=/srv/a,b":                            `got "b"; it takes OPTION=VALUE`,
		"d=/srv/a,colour=red":                   `got "colour=red"; it takes OPTION=VALUE, with an option of cordoned, device,`,
		"d=/srv/a,image=/srv/i":                 "image: 'size' is missing",
		"d=/srv/a,size=1Gi":                     "size is given without image",
		"d=/srv/a,filesystem=xfs":               "filesystem is given without image or device",
		"d=/srv/a,image=i,size=1Gi":             `image: got "i"; it takes an absolute path`,
		"d=/srv/a,image=/srv/i,size=10GB":       `size: got "10GB"; it takes a size such as 10Gi`,
		"d=/srv/a,image=/srv/i,size=319Mi":      `size: got "319Mi"; it takes a size such as 10Gi, at least 320Mi`,
		"d=/srv/a,image=/srv/a/i,size=1Gi":      `image: "/srv/a/i" lies in "/srv/a", the path of pool d`,
		"d=/srv/a,image=/i,size=1Gi,size=2Gi":   "size is there twice",
		"d=/srv/a,image=/i,size=1Gi,device=/d":  "device: image is given, too",
		"d=/srv/a,device=/d,filesystem=ext4":    `filesystem: got "ext4"; it takes xfs or btrfs`,
		"d=/srv/a,enforcement=hard":             `enforcement: got "hard"; it takes required, preferred or none`,
		"d=/srv/a,projectIDs=7":                 `projectIDs: got "7"; it takes FIRST-LAST`,
		"d=/srv/a,projectIDs=0-7":               `projectIDs: got "0"; it takes a project ID`,
		"d=/srv/a,projectIDs=9-7":               "projectIDs: 9 to 7 are given",
		"d=/srv/a,projectIDs=1-4294967294":      "at most 16777216",
		"d=/srv/a,image=/i,size=1Gi,filesystem": `got "filesystem"; it takes OPTION=VALUE`,
	} {
		if _, err := ParsePoolFlag(given); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--pool ") {
			t.Errorf("%q: %v\nwant: %s", given, err, want)
		}
	}
}

func FuzzParsePoolFlag(f *testing.F) {
	f.Add("default=/srv/pool")
	f.Add("d=/p,image=/i,size=1Gi,filesystem=xfs,provisioning=thin,enforcement=none,projectIDs=1-2")
	f.Add("d=/p,device=/dev/x,filesystem=btrfs,reserve=1%,overcommit=2,cordoned=true,requireMountPoint=false")
	f.Add("d=/p,image=/i,image=/i")
	f.Fuzz(func(t *testing.T, given string) {
		p, err := ParsePoolFlag(given)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "--pool ") {
				t.Errorf("%q: %v", given, err)
			}
			return
		}
		if !state.ValidID(p.Name) || !validPath(p.Path) || p.Image != nil && p.Device != nil {
			t.Errorf("%q gives %+v", given, p)
		}
		if i := p.Image; i != nil && (!validPath(i.Path) || i.Bytes < MinImageBytes || i.Filesystem == "" || within(i.Path, p.Path)) {
			t.Errorf("%q gives the image %+v", given, i)
		}
		if d := p.Device; d != nil && (!validPath(d.Path) || d.Filesystem == "") {
			t.Errorf("%q gives the device %+v", given, d)
		}
		if ids := p.ProjectIDs; ids.First > ids.Last {
			t.Errorf("%q gives the IDs %+v", given, ids)
		}
	})
}
