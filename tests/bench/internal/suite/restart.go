package suite

import (
	"context"
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// restart ends the driver by SIGTERM and starts it anew, as often as the options
// say, and sees that it still knows all volumes.
func (s *suite) restart(ctx context.Context, existing int) error {
	for i := range s.Restarts {
		s.log.Printf("%d volumes existing: restart %d of %d", existing, i+1, s.Restarts)
		stopped, err := s.driver.process.Stop(patience)
		s.driver.close()
		if err != nil {
			return err
		}
		next, err := startSubject(ctx, s.Options, s.dir, s.disk)
		if err != nil {
			return err
		}
		s.driver = next
		s.result.Starts = append(s.result.Starts, report.Start{
			Existing: existing, ReadySeconds: next.ready.Seconds(), StopSeconds: stopped.Seconds(),
		})
		found, err := next.client.Count(next.ctx)
		if err != nil {
			return err
		}
		if found != existing {
			return fmt.Errorf("after a restart the driver lists %d volumes; %d exist", found, existing)
		}
	}
	if s.Restarts == 0 {
		return nil
	}
	return s.recordMemory(report.Restarted, existing)
}
