// Command bench makes many claims at once in a cluster and deletes them again. It tells how long
// that takes their owner, in whose hands a claim is for how long, who calls the API server how
// often, and what memory and processor time it costs. run.sh starts it in the cluster of the
// tests, by `make bench-cluster`.
//
//	main.go      what is measured, and where
//	case.go      one number of claims, and what is told of it
//	steps.go     what happens to them, from their creation to their end
//	claims.go    claims and pods
//	watching.go  when each claim is bound, and when it is gone
//	sample.go    what all processes tell of themselves
//	cluster.go   the ways to the cluster
//	machine.go   how busy the machine is
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	storagev1 "k8s.io/api/storage/v1"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/report"
)

type options struct {
	reach    reach
	claims   []int
	bindings []binding
	timeout  time.Duration
	json     string
	strict   bool
	goals    bool
}

// binding is when claims are bound, and the class that has them so.
type binding struct {
	mode  storagev1.VolumeBindingMode
	class string
}

var bindings = []binding{
	{storagev1.VolumeBindingImmediate, "hostpath-csi-immediate"},
	{storagev1.VolumeBindingWaitForFirstConsumer, "hostpath-csi"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	c, err := connect(o.reach)
	if err != nil {
		return err
	}
	defer c.close()
	result := report.Result{}
	if result.Cluster, err = c.facts(ctx); err != nil {
		return err
	}
	for _, n := range o.claims {
		for _, b := range o.bindings {
			fmt.Fprintf(os.Stderr, "%s  %d claims, %s\n", time.Now().Format(time.TimeOnly), n, b.mode)
			measured, err := measure(ctx, c, n, b, o.timeout)
			if err != nil {
				return fmt.Errorf("%d claims, %s: %w", n, b.mode, err)
			}
			result.Cases = append(result.Cases, measured)
		}
	}
	if o.goals {
		result.Judge()
	}
	if err := errors.Join(result.WriteTable(os.Stdout), result.WriteJSON(o.json)); err != nil {
		return err
	}
	if untold := result.Untold(); len(untold) > 0 {
		return fmt.Errorf("not all could be told:\n%s", strings.Join(untold, "\n"))
	}
	if o.strict && result.Missed() {
		return errors.New("a goal was missed")
	}
	return nil
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.reach.kubeconfig, "kubeconfig", "", "file by which the API server is reached (all rights)")
	flags.StringVar(&o.reach.auditLog, "audit-log", "", "where the API server writes down who asked it for what (tests/e2e/cluster/audit.yaml): told is then who has a claim in hand, and who asks how often")
	flags.StringVar(&o.reach.controllerManager, "controller-manager", "https://127.0.0.1:10257", "the controller manager's own address")
	flags.StringVar(&o.reach.scheduler, "scheduler", "https://127.0.0.1:10259", "the scheduler's own address")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "for one number of claims, made and deleted")
	flags.StringVar(&o.json, "json", "", "file to write the result to, for machines")
	flags.BoolVar(&o.strict, "strict", false, "fail if a goal is missed")
	flags.BoolVar(&o.goals, "goals", true, "judge the goals, which are meant for a cluster as it is by default")
	flags.Func("claims", "how many at once: 100,500 (the default)", func(list string) error {
		o.claims = nil
		for _, word := range strings.Split(list, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number of claims: it takes numbers above 0 with commas between", word)
			}
			o.claims = append(o.claims, n)
		}
		return nil
	})
	flags.Func("binding", "Immediate or WaitForFirstConsumer (default: both, one after the other)", func(mode string) error {
		for _, b := range bindings {
			if string(b.mode) == mode {
				o.bindings = []binding{b}
				return nil
			}
		}
		return fmt.Errorf("%q is neither Immediate nor WaitForFirstConsumer", mode)
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.claims == nil {
		o.claims = []int{100, 500}
	}
	if o.bindings == nil {
		o.bindings = bindings
	}
	return o, nil
}
