package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/doctor"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func TestADiagnosisNamesWhatMends(t *testing.T) {
	d := diagnosis{Findings: []doctor.Finding{
		{Verdict: doctor.OK, About: "machine", Check: "kernel", Found: "Linux 6.18.0"},
		{Verdict: doctor.Warning, About: "pool default", Check: "limits", Found: "volumes are not held to their sizes", Remedy: "umount /mnt && mount -o prjquota /dev/sdb /mnt"},
		{Verdict: doctor.Failure, About: "pool default", Check: "filesystem", Found: "ext4 at \x1b[2J is read-only"},
	}}
	var out bytes.Buffer
	must(t, show.Print(&out, show.AsTable, show.Style{}, d, d.table))
	checkGolden(t, "doctor", out.String())
}

func TestDoctorFailsIfAnythingDoes(t *testing.T) {
	machine(t)
	must(t, os.Symlink(fast, "/mnt/link"))
	out, err := execute(t, "doctor", "--kubelet-dir", "/mnt/none", "-o", "json", "--pool", "good="+fast+"/pool", "--pool", "bad=/mnt/link/pool")
	if err == nil || err.Error() != "1 check failed" {
		t.Errorf("the error is %v", err)
	}
	var d diagnosis
	must(t, json.Unmarshal([]byte(out), &d))
	verdicts := map[string]doctor.Verdict{}
	for _, f := range d.Findings {
		verdicts[f.About+" "+f.Check] = f.Verdict
	}
	if verdicts["pool good directory"] != doctor.OK || verdicts["pool bad directory"] != doctor.Failure || verdicts["machine kernel"] != doctor.OK {
		t.Errorf("it found %v", verdicts)
	}
	if out := mustExecute(t, "doctor", "--kubelet-dir", "/mnt/none", "--pool", "good="+fast+"/pool"); !strings.Contains(out, "WARN") {
		t.Errorf("it found:\n%s", out)
	}
}
