package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/doctor"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

// diagnosis is what doctor tells to programs.
type diagnosis struct {
	Findings []doctor.Finding `json:"findings"`
}

func newDoctorCommand() *cobra.Command {
	o := newMachineOptions()
	var machine doctor.Machine
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine is ready, with the command that mends what is not",
		Long: `Check the machine and its pools, those that are still to be made too, and name the
command that mends what is wrong. It tries what the driver would do: a file without a
name in each pool, which leaves nothing behind.

WARN is for what works, but not as well as it could; FAIL for what does not work. Exits
with 1 if anything FAILs. Without pools only the machine is checked. In a container it
sees what the driver there sees.`,
		Example: `  hostpath-csi doctor --pool default=/var/lib/hostpath-csi/pool

  # In the cluster, as the driver of a node sees it
  kubectl -n hostpath-csi exec POD -- hostpath-csi doctor --config /etc/hostpath-csi/config.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.doctor(machine, cmd.OutOrStdout()) },
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&machine.KubeletDir, "kubelet-dir", "/var/lib/kubelet", "the kubelet's directory")
	return cmd
}

func (o *machineOptions) doctor(machine doctor.Machine, out io.Writer) error {
	d := diagnosis{Findings: machine.Check()}
	if o.file != "" || len(o.pools) > 0 {
		pools, err := o.choose()
		if err != nil {
			return err
		}
		for _, p := range pools {
			d.Findings = append(d.Findings, doctor.Pool{Name: p.Name, Path: p.Path, RequireMountPoint: p.RequireMountPoint, Disk: p.Disk}.Check()...)
		}
	}
	if err := o.print(out, d, d.table); err != nil {
		return err
	}
	failures := 0
	for _, f := range d.Findings {
		if f.Verdict == doctor.Failure {
			failures++
		}
	}
	if failures > 0 {
		return fmt.Errorf("%s failed", show.Count(failures, "check"))
	}
	return nil
}

var verdictColors = map[doctor.Verdict]show.Color{doctor.OK: show.Good, doctor.Warning: show.Doubtful, doctor.Failure: show.Bad}

// table shows each finding, and beneath it what mends it.
func (d diagnosis) table(bool) show.Table {
	t := show.Table{Columns: []show.Column{{Name: "RESULT"}, {Name: "ABOUT"}, {Name: "CHECK"}, {Name: "FOUND"}}}
	for _, f := range d.Findings {
		t.Rows = append(t.Rows, show.Row{{Text: string(f.Verdict), Color: verdictColors[f.Verdict]}, {Text: show.Line(f.About)}, {Text: show.Line(f.Check)}, {Text: show.Line(f.Found)}})
		if f.Remedy != "" {
			t.Rows = append(t.Rows, show.Row{{}, {}, {}, {Text: "mend: " + show.Line(f.Remedy), Color: show.Faint}})
		}
	}
	return t
}
